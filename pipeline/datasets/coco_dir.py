"""``coco_dir``: any folder with COCO-style json; its images stay where they are."""

import json
from pathlib import Path

from pipeline.datasets.coco import Source, SourceSplit
from pipeline.datasets.findings import Findings
from pipeline.records import Finding
from pipeline.settings import CocoDirSettings, CocoSplitSettings, DataSettings


def make(settings: DataSettings, cache_dir: Path, folder: Path) -> Source:
    """Read the json files; a data set function as in :mod:`pipeline.datasets.coco`."""
    custom = settings.coco_dir
    splits: dict[str, SourceSplit] = {}
    findings: list[Finding] = []
    for name, split in _listed(custom).items():
        path = custom.root / split.annotations
        content, problem = _read(path)
        if problem:
            notes = Findings(str(path))
            notes.error("whole file", f"{problem}; check data.coco_dir.{name} in params.yaml")
            findings += notes.found
        else:
            splits[name] = SourceSplit(str(path), content, custom.root / split.images)
    return Source(f"COCO-style folder {custom.root.name}", False, [], splits, findings)


def _listed(settings: CocoDirSettings) -> dict[str, CocoSplitSettings]:
    listed = {"train": settings.train, "val": settings.val}
    return listed if settings.test is None else {**listed, "test": settings.test}


def _read(path: Path) -> tuple[object, str]:
    try:
        return json.loads(path.read_bytes()), ""
    except FileNotFoundError:
        return None, "no such file"
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return None, f"not valid json: {error}"
