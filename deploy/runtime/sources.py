"""The files that a prediction runs on, and what their results are called."""

import os
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

from deploy.runtime.errors import ImageError
from deploy.runtime.images import SUFFIXES as IMAGES

VIDEOS = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm"}
    | {".wmv"}
)
"""File name suffixes that mean a video."""
_LONGEST_NAME = 255  # bytes, on Linux and macOS


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video: by its suffix."""
    return path.suffix.lower() in VIDEOS


def find_sources(given: Iterable[Path], out: Path) -> list[Path]:
    """Files as they are named, folders searched in depth for images and videos, sorted; each file once.

    Hidden files, and earlier results, which may lie inside a searched folder as ``out``, are left out.

    Raises:
        ImageError: a folder holds no image and no video.
    """
    return _find(given, out, IMAGES | VIDEOS, "image or video")


def find_images(given: Iterable[Path], out: Path) -> list[Path]:
    """The same, where folders are searched for images alone."""
    return _find(given, out, IMAGES, "image")


def result_names(sources: Sequence[Path], out: Path) -> dict[Path, str]:
    """A name in ``out`` for the annotated copy of each source: no two are equal, and none is that of a source."""
    taken = {path.name for path in sources if path.resolve().parent == out.resolve()}
    names: dict[Path, str] = {}
    for path in sources:
        suffix = ".mp4" if is_video(path) else ".jpg"
        name, number = _fitting(path.stem, suffix), 2
        while name in taken:
            name, number = _fitting(path.stem, f"_{number}{suffix}"), number + 1
        taken.add(name)
        names[path] = name
    return names


def _fitting(stem: str, ending: str) -> str:
    """A file name that no file system refuses for its length: what is too long is cut from the stem."""
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending


def _find(given: Iterable[Path], out: Path, suffixes: Set[str], kind: str) -> list[Path]:
    found: list[Path] = []
    for source in given:
        if source.is_dir():
            found += _inside(source, out, suffixes, kind)
        else:
            found.append(source)
    return list(dict.fromkeys(found))


def _inside(folder: Path, out: Path, suffixes: Set[str], kind: str) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    visible = [path for path in files if not path.name.startswith(".")]
    found = sorted(path for path in visible if out.resolve() not in path.resolve().parents)
    if not found:
        aside = f"; the {len(visible)} files in {out} are taken for earlier results" if visible else ""
        raise ImageError(f"{folder}: no {kind} files in this folder (looked for {', '.join(sorted(suffixes))}{aside})")
    return found
