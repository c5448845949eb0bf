"""Where in a folder YOLO's classes, images and labels are."""

from pathlib import Path
from typing import Any

from deploy.runtime.images import SUFFIXES
from deploy.runtime.text_files import UnreadableText
from pipeline.datasets.split_words import folders_in, split_folders, with_train
from pipeline.strict_yaml import read_yaml_file

_NAMES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels")
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
    if not images:
        return (
            "no YAML file (data.yaml) with the keys names and train, and no folders images and labels, or images with "
            "text files of their names beside them, with the classes in a data.yaml or classes.txt"
        )
    folders = (root, *(root / place for place in images.values()))
    named = (folder / name for folder in folders for name in _NAMES if (folder / name).is_file())
    config = config or next((path.relative_to(root).as_posix() for path in named), None)
    if config is None:
        return "there are images with labels, and no data.yaml (key names) or classes.txt that names the classes"
    return {"config": config, **images}


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


def _labelled_images(root: Path) -> dict[str, str]:
    """Folders of images whose labels are found, by split, below the root; one for all is train's."""
    if (root / "images").is_dir() and (root / "labels").is_dir():
        found = split_folders(root / "images") or {"train": root / "images"}
    elif _has_labels_beside(root):
        found = {"train": root}
    else:
        found = with_train((split, path) for split, path in split_folders(root).items() if _has_labels_beside(path))
        others = [] if found else [folder for folder in folders_in(root) if _has_labels_beside(folder)]
        found = {"train": others[0]} if len(others) == 1 else found
    return {split: folder.relative_to(root).as_posix() for split, folder in found.items()}


def _has_labels_beside(folder: Path) -> bool:
    images = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return any(path.with_suffix(".txt").is_file() for path in images)
