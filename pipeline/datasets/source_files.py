"""What a data set is made from, as its stage depends on it, wherever the files are.

DVC follows no link and looks at nothing outside of the project, and to hash every image of COCO takes minutes. So an
annotation file counts by its content, an image by its name, size and time of last change.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.dataset_settings import DataSettings
from pipeline.records import SourceFiles, SourceFolder
from pipeline.storage import sha256_of


def find_source_files(settings: DataSettings) -> SourceFiles:
    """The annotation files and image folders of the chosen data set; none for the embedded ones, which are made here.

    What is missing counts as missing: the ``data`` stage says so with its cure.
    """
    if settings.name != "coco_dir":
        return SourceFiles(name=settings.name, annotations={}, folders={})
    custom = settings.coco_dir
    splits = [split for split in (custom.train, custom.val, custom.test) if split]
    return SourceFiles(
        name=settings.name,
        annotations={path: _content(custom.root / path) for path in sorted({split.annotations for split in splits})},
        folders={path: _listing(custom.root / path) for path in sorted({split.images for split in splits})},
    )


def _content(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def _listing(folder: Path) -> SourceFolder | None:
    if not folder.is_dir():
        return None
    digest, files = hashlib.sha256(), 0
    for name, size, changed in sorted(_files(folder, "", frozenset())):
        digest.update(os.fsencode(f"{name}\0{size}\0{changed}\0"))
        files += 1
    return SourceFolder(files=files, sha256=digest.hexdigest())


def _files(folder: Path, above: str, outer: frozenset[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Name below the image folder, bytes and nanoseconds of the last change of each file, through links too."""
    state = folder.stat()
    place = (state.st_dev, state.st_ino)
    if place in outer:  # a link that leads back up
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
            except FileNotFoundError:  # a link to nowhere
                yield name, -1, 0
