"""``yolo_dir``: a folder with YOLO's labels, one text file an image; images stay where they are."""

import os
from collections.abc import Sequence
from pathlib import Path

from deploy.runtime.images import SUFFIXES
from deploy.runtime.regular_files import read_regular
from pipeline.dataset_settings import DataSettings, YoloDirSettings
from pipeline.datasets.coco import Source, SourceSplit
from pipeline.datasets.empty_boxes import without_empty_boxes
from pipeline.datasets.findings import Finding, Findings
from pipeline.datasets.folder_listing import files_below, files_with, is_hidden
from pipeline.datasets.label_items import LabelledImages
from pipeline.datasets.yolo_labels import LARGEST_FILE, read_labels
from pipeline.datasets.yolo_layout import SECTION, YoloLayout, below, find_layout, is_list, labels_of, listed_images

_NO_LABELS = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt"})


def make(settings: DataSettings, cache_dir: Path, folder: Path) -> Source:
    """Read ``data.yaml`` and the label files; a data set function as in :mod:`pipeline.datasets.coco`."""
    custom = settings.yolo_dir
    notes = Findings(str(custom.root / custom.config))
    layout = find_layout(custom, notes)
    findings = list(notes.found)
    splits: dict[str, SourceSplit] = {}
    for name, places in layout.splits.items():
        splits[name], found = _split(name, places, custom, layout)
        findings += found
    return Source(f"YOLO folder {custom.root.name}", False, [], splits, findings)


def _split(
    name: str, places: Sequence[Path], custom: YoloDirSettings, layout: YoloLayout
) -> tuple[SourceSplit, list[Finding]]:
    notes = Findings(f"{custom.root} ({name})")
    images = [path for place in places for path in _images(place, custom.root, notes)]
    root = custom.root
    if not all(path.is_relative_to(root) for path in images):
        images = [path.absolute() for path in images]
        root = Path(os.path.commonpath([path.parent for path in images]))
    labelled = _labelled(images, root, custom.root, layout, notes)
    categories = [{"id": number, "name": label} for number, label in sorted(layout.names.items())]
    content: object = {"images": labelled.images, "annotations": labelled.boxes, "categories": categories}
    if custom.boxes_without_area == "drop":
        dropped = Findings(notes.file, labelled.named)
        content = without_empty_boxes(content, SECTION, dropped)
        notes.found += dropped.found
    split = SourceSplit(
        notes.file,
        content,
        root,
        custom.orientation,
        custom.boxes_outside,
        SECTION,
        named=labelled.named,
        in_shares=True,
    )
    return split, notes.found


def _labelled(images: Sequence[Path], root: Path, own: Path, layout: YoloLayout, notes: Findings) -> LabelledImages:
    """All images with the boxes of their label files; an image without one has no boxes."""
    labelled = LabelledImages("line")
    folders: dict[Path, Path] = {}
    found, polygons = 0, []
    for path in images:
        folder = folders.setdefault(path.parent, labels_of(path.parent, own))
        label = folder / f"{path.stem}.txt"
        file = below(label, root)
        labelled.add_image(below(path, root), file)
        try:
            content = read_regular(label, LARGEST_FILE)
        except FileNotFoundError:
            continue
        except OSError as error:
            notes.error(file, "cannot be read: {}", error.strerror)
            continue
        found += 1
        for row in read_labels(content, file, layout.names, layout.keypoints, notes):
            labelled.add_box(row.category, row.box, row.line)
            if row.is_polygon:
                polygons.append(f"{file} line {row.line}")
    if images and not found:
        places = " and ".join(below(folder, root) for folder in list(folders.values())[:3])
        notes.error("labels", "none of {} images has a label file; looked in {}", len(images), places)
    if polygons:
        text = "{} rows are polygons or turned boxes; the upright box around each is taken; the first: {}"
        notes.warning("labels", text, len(polygons), polygons[0])
    return labelled


def _images(place: Path, root: Path, notes: Findings) -> list[Path]:
    """The images of a list, or below a folder in the order of their names."""
    if is_list(place):
        return listed_images(place, root, notes)
    try:
        images = files_with(SUFFIXES, place)
    except OSError as error:
        notes.error(below(place, root), "is no folder of images that can be read: {}", error.strerror)
        return []
    if not images:
        notes.error(below(place, root), "holds no image ({})", ", ".join(sorted(SUFFIXES)))
    labels = labels_of(place, root)
    if labels != place:
        _tell_of_lone_labels(labels, images, root, notes)
    return [place / name for name in images]


def _tell_of_lone_labels(folder: Path, images: Sequence[str], root: Path, notes: Findings) -> None:
    known = {os.path.splitext(name)[0] for name in images}  # noqa: PTH122 (a str need not become a Path)
    for name, size, _ in sorted(files_below(folder)):
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        if suffix == ".txt" and size > 0 and stem not in known and name not in _NO_LABELS and not is_hidden(name):
            notes.warning(below(folder / name, root), "there is no image of this name; its boxes are left out")
