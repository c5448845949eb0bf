"""``coco_dir``: any folder with COCO-style json; its images stay where they are."""

import math
from pathlib import Path

from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.annotation_files import read_annotation_file
from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.coco import Source, SourceSplit
from pipeline.datasets.findings import Finding, Findings
from pipeline.datasets.json_files import RepeatedKeyError


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
            notes.error("whole file", "{}; check data.coco_dir.{} in params.yaml", problem, name)
            findings += notes.found
        else:
            if custom.boxes_without_area == "drop":
                content, dropped = _without_empty_boxes(content, str(path))
                findings += dropped
            splits[name] = SourceSplit(str(path), content, custom.root / split.images, custom.orientation)
    return Source(f"COCO-style folder {custom.root.name}", False, [], splits, findings)


def _listed(settings: CocoDirSettings) -> dict[str, CocoSplitSettings]:
    listed = {"train": settings.train, "val": settings.val}
    test = settings.test
    return listed if test is None or test == settings.val else {**listed, "test": test}


def _without_empty_boxes(content: object, file: str) -> tuple[object, list[Finding]]:
    """Leave out boxes of no width or height, each with a finding; whatever else is wrong is validation's to say."""
    entries = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(entries, list | BoxEntries):
        return content, []
    notes, kept = Findings(file), BoxEntries()
    for position, entry in enumerate(entries):
        if _is_empty(entry):
            item = f"annotation {entry['id']}" if "id" in entry else f"annotations[{position}]"
            notes.warning(item, "bbox {} has no area; left out (data.coco_dir.boxes_without_area: drop)", entry["bbox"])
        else:
            kept.append(entry)
    return {**content, "annotations": kept}, notes.found


def _is_empty(entry: object) -> bool:
    box = entry.get("bbox") if isinstance(entry, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(type(value) in (int, float) for value in box):
        return False
    # A whole number may have more digits than a float, which isfinite makes of it.
    finite = all(isinstance(value, int) or math.isfinite(value) for value in box)
    return finite and min(box[2:]) == 0


def _read(path: Path) -> tuple[object, str]:
    try:
        return read_annotation_file(path), ""
    except FileNotFoundError:
        return None, "no such file"
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except RepeatedKeyError as error:
        return None, str(error)
    except (ValueError, RecursionError) as error:
        return None, f"not valid json: {error}"
