"""``coco_dir``: any folder with COCO-style json; its images stay where they are."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.dataset_settings import DataSettings
from pipeline.datasets.annotation_files import read_annotation_file
from pipeline.datasets.coco import Source, SourceSplit
from pipeline.datasets.empty_boxes import without_empty_boxes
from pipeline.datasets.findings import Findings
from pipeline.datasets.json_files import RepeatedKeyError
from pipeline.datasets.unused_categories import without_unused

SECTION = "data.coco_dir"


def make(settings: DataSettings, cache_dir: Path, folder: Path) -> Source:
    """Read the json files; a data set function as in :mod:`pipeline.datasets.coco`."""
    custom = settings.coco_dir
    listed = custom.named_splits()
    key = custom.splits.group_by.key if custom.splits.group_by else None
    contents: dict[str, object] = {}
    notes = {name: Findings(str(custom.root / split.annotations)) for name, split in listed.items()}
    for name, split in listed.items():
        content, problem = _read(custom.root / split.annotations, [key] if key else [])
        if problem:
            notes[name].error("whole file", f"{{}}; check {SECTION}.{{}} in params.yaml", problem, name)
        else:
            contents[name] = content
    contents = without_unused(contents, custom.unused_categories, notes["train"])
    if custom.boxes_without_area == "drop":
        contents = {name: without_empty_boxes(content, SECTION, notes[name]) for name, content in contents.items()}
    splits = {
        name: SourceSplit(
            str(custom.root / listed[name].annotations),
            content,
            custom.root / listed[name].images,
            custom.orientation,
            custom.boxes_outside,
            SECTION,
            groups=_groups(content, key) if key else {},
        )
        for name, content in contents.items()
    }
    findings = [finding for some in notes.values() for finding in some.found]
    return Source(f"COCO-style folder {custom.root.name}", False, [], splits, findings)


def _groups(content: object, key: str) -> dict[int, object]:
    """What the images have under ``key``, by their ids; only words and numbers tell groups."""
    images = content.get("images") if isinstance(content, dict) else None
    entries = [entry for entry in images if isinstance(entry, dict)] if isinstance(images, list) else []
    found = ((entry.get("id"), entry.get(key)) for entry in entries)
    return {number: value for number, value in found if type(number) is int and type(value) in (str, int)}


def _read(path: Path, image_keys: Sequence[str]) -> tuple[object, str]:
    try:
        return read_annotation_file(path, image_keys), ""
    except FileNotFoundError:
        return None, "no such file"
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except RepeatedKeyError as error:
        return None, str(error)
    except (ValueError, RecursionError) as error:
        return None, f"not valid json: {error}"
