"""All files below a folder, through links too, which of its files the user means, and where a link leads."""

import os
from collections.abc import Iterator, Set
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


def files_with(suffixes: Set[str], folder: Path) -> list[str]:
    """Names below the folder of all files with one of the suffixes, in their order; hidden ones are left out.

    Raises:
        OSError: a folder cannot be read.
    """
    names = (name for name, _, _ in files_below(folder) if not is_hidden(name))
    return sorted(name for name in names if os.path.splitext(name)[1].lower() in suffixes)  # noqa: PTH122


class RealPaths:
    """``os.path.realpath`` of many files, which asks the system for every folder on the way to each of them."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: str) -> str:
        """The path without links in it."""
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        real = os.path.join(self._folders[folder], name)  # noqa: PTH118 (a str need not become a Path)
        return os.path.realpath(real) if os.path.islink(real) else real  # noqa: PTH114


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
