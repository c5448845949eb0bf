"""Where in a folder YOLO's classes, images and labels are."""

from pathlib import Path
from typing import Any

from deploy.runtime.images import SUFFIXES
from deploy.runtime.text_files import UnreadableText
from pipeline.datasets.split_words import split_folders
from pipeline.strict_yaml import read_yaml_file

_NAMES = ("classes.txt", "obj.names", "labels.txt")
_PREFERRED = ("data.yaml", "dataset.yaml", "data.yml")


def find_yolo(root: Path) -> dict[str, Any] | str:
    """The section of a folder with YOLO's labels, or why there is none."""
    configs = [path.name for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]) if _has_names(path)]
    chosen = next((name for name in _PREFERRED if name in configs), None)
    if chosen is None and len(configs) > 1:
        return f"{', '.join(configs)} all name classes; write the section data.yolo_dir of params.yaml yourself"
    config = chosen or next(iter(configs), None)
    if config is not None and _has_splits(root / config):
        return {"config": config}
    images = _labelled_images(root)
    if images is None:
        return (
            "no YAML file (data.yaml) with the keys names and train, and no folders images and labels, or images with "
            "text files of their names beside them, with the classes in a data.yaml or classes.txt"
        )
    config = config or next((name for name in _NAMES if (root / name).is_file()), None)
    if config is None:
        return "there are images with labels, and no data.yaml (key names) or classes.txt that names the classes"
    splits = split_folders(root / images)
    if not splits:
        return {"config": config, "train": images}
    return {"config": config, **{name: path.relative_to(root).as_posix() for name, path in splits.items()}}


def _has_names(path: Path) -> bool:
    return "names" in _content(path)


def _has_splits(path: Path) -> bool:
    return _content(path).get("train") not in (None, "", [])


def _content(path: Path) -> dict[Any, Any]:
    try:
        content = read_yaml_file(path)
    except UnreadableText:
        return {}
    return content if isinstance(content, dict) else {}


def _labelled_images(root: Path) -> str | None:
    """The folder of the images whose labels are found, below the root."""
    if (root / "images").is_dir() and (root / "labels").is_dir():
        return "images"
    beside = (path for path in root.iterdir() if path.suffix.lower() in SUFFIXES and path.with_suffix(".txt").is_file())
    return "." if next(beside, None) is not None else None
