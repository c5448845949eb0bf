"""Which split a file or a folder is of, by its name."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

SPLITS = ("train", "val", "test")
_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_of(name: str) -> str | None:
    """The one split that a name speaks of: ``instances_train2017.json``, ``valid``."""
    words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower())
    found = {_WORDS[word] for word in words if word in _WORDS}
    return found.pop() if len(found) == 1 else None


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders of the splits in a folder, where there is one for train."""
    return with_train((split, path) for path in folders_in(folder) if (split := split_of(path.name)))


def with_train(named: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """The first of each split in the order of the splits; nothing where train is missing."""
    found: dict[str, Path] = {}
    for split, path in named:
        found.setdefault(split, path)
    return _in_order(found) if "train" in found else {}


def _in_order(found: Mapping[str, Path]) -> dict[str, Path]:
    return {split: found[split] for split in SPLITS if split in found}


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder in the order of their names, hidden ones left out."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
