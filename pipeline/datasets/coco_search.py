"""Where in a folder COCO's json files and their images are."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.runtime.errors import shown
from pipeline.datasets.json_files import RepeatedKeyError, read_json
from pipeline.datasets.json_stream import NotInPieces, read_in_pieces
from pipeline.datasets.split_words import SPLITS, folders_in, split_of
from pipeline.errors import DatasetError

_KNOWN = {
    "COCO's own": {
        split: {"annotations": f"annotations/instances_{split}2017.json", "images": f"{split}2017"}
        for split in ("train", "val")
    },
    "datasets/README.md's": {split: {"annotations": f"annotations/{split}.json", "images": split} for split in SPLITS},
}
_MOST_FILES = 100
"""json files of a folder that are looked at; more are a file an image."""
_CURE = "write the section data.coco_dir of params.yaml yourself"
_NAMES = 20
"""Images of a json that are looked for."""


def find_coco(root: Path) -> dict[str, Any] | str:
    """The section of a folder with COCO-style json, or why there is none."""
    for layout in _KNOWN.values():
        if all((root / layout[split]["annotations"]).is_file() for split in ("train", "val")):
            there = {name: split for name, split in layout.items() if (root / split["annotations"]).is_file()}
            return {**there, "test": there.get("test")}
    files = {path: names for path in _candidates(root) if (names := _image_names(path)) is not None}
    if not files:
        return (
            "no json with the lists images, annotations and categories, in the folder or one folder below (of "
            "datasets/README.md's layout annotations/train.json and annotations/val.json, of COCO's own "
            "annotations/instances_train2017.json and annotations/instances_val2017.json)"
        )
    splits: dict[str, list[Path]] = {}
    for path in files:
        splits.setdefault(split_of(path.stem) or split_of(path.parent.name) or "", []).append(path)
    # One file for all counts only where no file is one split's.
    whole = {"train": splits.get("", [])}
    chosen = {name: paths for name, paths in splits.items() if name} if "train" in splits else whole
    for name, paths in chosen.items():
        if len(paths) != 1:
            some = ", ".join(str(path.relative_to(root)) for path in paths) or "no file"
            return f"{some} for {name}, where one json is needed; {_CURE}"
    return _section(root, {name: paths[0] for name, paths in chosen.items()}, files)


def category_names(path: Path) -> tuple[str, ...]:
    """The names of a json's categories in the order of their ids; raises :class:`DatasetError` where there are none."""
    try:
        categories = read_json(path)["categories"]
        return tuple(str(entry["name"]) for entry in sorted(categories, key=lambda entry: entry["id"]))
    except RepeatedKeyError as error:
        raise DatasetError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(f"{path}: no COCO json with categories of id and name ({type(error).__name__})") from error


def _section(root: Path, chosen: Mapping[str, Path], names: Mapping[Path, Sequence[str]]) -> dict[str, Any] | str:
    section: dict[str, Any] = {"val": None, "test": None}
    for split, path in chosen.items():
        looked = list(dict.fromkeys(_image_folders(root, path, split)))
        # Not all of them: an image that is missing is the data stage's to name.
        found = max(looked, key=lambda folder: _there(folder, names[path]))
        if not _there(found, names[path]):
            places = ", ".join(str(place.relative_to(root)) for place in looked)
            first = shown(names[path][0])
            return f"the images of {path.relative_to(root)} ({first}, ...) are in none of {places}; {_CURE}"
        section[split] = {
            "annotations": path.relative_to(root).as_posix(),
            "images": found.relative_to(root).as_posix(),
        }
    return section


def _there(folder: Path, names: Sequence[str]) -> int:
    return sum(os.path.isfile(folder / name) for name in names)  # noqa: PTH113 (takes names of any length)


def _image_folders(root: Path, path: Path, split: str) -> Iterator[Path]:
    """Where the images of a json may be, the likeliest first."""
    words = [path.parent.name, path.stem, *re.findall(r"[A-Za-z]+[0-9]*", path.stem), split]
    if split == "val":
        words += ["valid", "validation"]
    yield path.parent
    for word in words:
        for folder in (root / word, root / "images" / word, path.parent / word, root / word / "images"):
            if folder.is_dir():
                yield folder
    yield from (folder for folder in (root / "images", path.parent / "images", root) if folder.is_dir())


def _candidates(root: Path) -> Iterator[Path]:
    for folder in [root, *folders_in(root)]:
        found = sorted(folder.glob("*.json"))
        if len(found) <= _MOST_FILES:
            yield from found


class _First(list[Any]):
    """Keeps the first elements, and counts the others."""

    def append(self, element: Any, /) -> None:
        if len(self) < _NAMES:
            super().append(element)


def _image_names(path: Path) -> list[str] | None:
    """The first images of a COCO json; None for any other file."""
    lists = {key: _First() for key in ("images", "annotations", "categories")}
    try:
        content = read_in_pieces(path, lists)
    except (OSError, NotInPieces):
        return None
    if any(content.get(key) is not value or not value for key, value in lists.items()):
        return None
    names = [entry.get("file_name") if isinstance(entry, dict) else None for entry in lists["images"]]
    return [name for name in names if isinstance(name, str) and "\0" not in name] or None
