"""All files below a folder, through links too, and which of its files the user means."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name below the folder, bytes and nanoseconds of the last change of each file, in no order.

    A link to nowhere has -1 bytes, a link that leads back up is not followed.

    Raises:
        OSError: a folder cannot be read.
    """
    return _files(folder, "", frozenset())


def file_state(path: Path) -> tuple[int, int]:
    """Bytes and nanoseconds of the last change of one file, as :func:`files_below` has them."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return -1, 0
    return found.st_size, found.st_mtime_ns


def is_hidden(name: str) -> bool:
    """Whether a name below a folder is none that the user put there: ``.ipynb_checkpoints/``, ``__MACOSX/``."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _files(folder: Path, above: str, outer: frozenset[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    state = folder.stat()
    place = (state.st_dev, state.st_ino)
    if place in outer:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{above}{entry.name}"
            try:
                if entry.is_dir():
                    yield from _files(Path(entry.path), f"{name}/", outer | {place})
                else:
                    found = entry.stat()
                    yield name, found.st_size, found.st_mtime_ns
            except FileNotFoundError:
                yield name, -1, 0
