"""What a data set is made from, as its stage depends on it, wherever the files are.

DVC follows no link and looks at nothing outside of the project, and to hash every image of COCO takes minutes. So an
annotation file counts by its content, an image by its name, size and time of last change.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipeline.dataset_settings import DataSettings
from pipeline.datasets.findings import Findings
from pipeline.datasets.folder_listing import file_state, files_below
from pipeline.datasets.yolo_layout import below, find_layout, is_list, labels_of, listed_images
from pipeline.records import Record
from pipeline.storage import sha256_of


class SourceFolder(Record):
    """An image folder: the number of files below it, and one hash over all their names, sizes and times of change."""

    files: int
    sha256: str


class SourceFiles(Record):
    """What a data set is made from, by path below its root; none for what is missing (``build/source_files.json``).

    ``unlabelled`` is the folder of pictures without boxes (``data.unlabelled``).
    """

    name: str
    annotations: dict[str, str | None]
    folders: dict[str, SourceFolder | None]
    unlabelled: SourceFolder | None = None


def find_source_files(settings: DataSettings) -> SourceFiles:
    """The annotation files and image folders of the chosen data set; none for the embedded ones, which are made here.

    What is missing counts as missing: the ``data`` stage says so with its cure.
    """
    find = _SOURCES.get(settings.name)
    found = find(settings) if find else SourceFiles(name=settings.name, annotations={}, folders={})
    if settings.unlabelled is None:
        return found
    return found.model_copy(update={"unlabelled": _listing(settings.unlabelled)})


def _of_coco(settings: DataSettings) -> SourceFiles:
    custom = settings.coco_dir
    splits = custom.named_splits().values()
    return SourceFiles(
        name=settings.name,
        annotations={path: _content(custom.root / path) for path in sorted({split.annotations for split in splits})},
        folders={path: _listing(custom.root / path) for path in sorted({split.images for split in splits})},
    )


def _of_yolo(settings: DataSettings) -> SourceFiles:
    custom = settings.yolo_dir
    notes = Findings("")
    places = [place for some in find_layout(custom, notes).splits.values() for place in some]
    lists = [place for place in places if is_list(place)]
    folders = {folder for place in places if place not in lists for folder in (place, labels_of(place, custom.root))}
    listed = {place: _listed(listed_images(place, custom.root, notes), custom.root) for place in lists}
    return SourceFiles(
        name=settings.name,
        annotations={custom.config: _content(custom.root / custom.config)}
        | {below(place, custom.root): _content(place) for place in sorted(lists)},
        folders={below(place, custom.root): _listing(place) for place in sorted(folders)}
        | {below(place, custom.root): folder for place, folder in listed.items()},
    )


def _of_voc(settings: DataSettings) -> SourceFiles:
    custom = settings.voc_dir
    splits = custom.named_splits().values()
    lists = sorted({split.image_set for split in splits if split.image_set})
    folders = sorted({folder for split in splits for folder in (split.annotations, split.images)})
    return SourceFiles(
        name=settings.name,
        annotations={path: _content(custom.root / path) for path in lists},
        folders={path: _listing(custom.root / path) for path in folders},
    )


_SOURCES: Mapping[str, Callable[[DataSettings], SourceFiles]] = {
    "coco_dir": _of_coco,
    "yolo_dir": _of_yolo,
    "voc_dir": _of_voc,
}


def _content(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def _listing(folder: Path) -> SourceFolder | None:
    return _hashed(files_below(folder)) if folder.is_dir() else None


def _listed(images: Iterable[Path], root: Path) -> SourceFolder:
    """Listed images and the label file of each."""
    labels: dict[Path, Path] = {}
    files = []
    for path in images:
        folder = labels.setdefault(path.parent, labels_of(path.parent, root))
        files += [path, folder / f"{path.stem}.txt"]
    return _hashed((below(path, root), *file_state(path)) for path in files)


def _hashed(found: Iterable[tuple[str, int, int]]) -> SourceFolder:
    digest, files = hashlib.sha256(), 0
    for name, size, changed in sorted(found):
        digest.update(os.fsencode(f"{name}\0{size}\0{changed}\0"))
        files += 1
    return SourceFolder(files=files, sha256=digest.hexdigest())
