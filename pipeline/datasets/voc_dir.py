"""``voc_dir``: a folder with Pascal VOC's annotations, an XML file an image; images stay where they are."""

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from deploy.runtime.images import SUFFIXES
from deploy.runtime.regular_files import read_regular
from deploy.runtime.text_files import UnreadableText, read_text
from pipeline.dataset_settings import DataSettings, VocDirSettings, VocSplitSettings
from pipeline.datasets.coco import Source, SourceSplit
from pipeline.datasets.empty_boxes import without_empty_boxes
from pipeline.datasets.findings import Finding, Findings
from pipeline.datasets.folder_listing import files_with
from pipeline.datasets.label_items import LabelledImages
from pipeline.datasets.pascal_voc import LARGEST_FILE, VocFile, VocObject, read_voc
from pipeline.errors import did_you_mean

SECTION = "data.voc_dir"


@dataclass(frozen=True)
class _Image:
    """An image by its name below the image folder, its XML file as findings name it, and what that says."""

    name: str
    file: str
    said: VocFile


def make(settings: DataSettings, cache_dir: Path, folder: Path) -> Source:
    """Read the XML files; a data set function as in :mod:`pipeline.datasets.coco`."""
    custom = settings.voc_dir
    notes = {name: Findings(f"{custom.root} ({name})") for name in custom.named_splits()}
    images = {name: _images(split, custom, notes[name]) for name, split in custom.named_splits().items()}
    found = {item.name for some in images.values() for image in some for item in image.said.objects}
    classes = custom.classes or sorted(found)
    splits = {
        name: _split(custom.named_splits()[name], some, classes, custom, notes[name]) for name, some in images.items()
    }
    findings: list[Finding] = [finding for some in notes.values() for finding in some.found]
    return Source(f"Pascal-VOC folder {custom.root.name}", False, [], splits, findings)


def _split(
    split: VocSplitSettings, images: Sequence[_Image], classes: Sequence[str], custom: VocDirSettings, notes: Findings
) -> SourceSplit:
    labelled = LabelledImages("object")
    numbers = {name: number for number, name in enumerate(classes)}
    for image in images:
        labelled.add_image(image.name, image.file, image.said.width, image.said.height)
        for item in image.said.objects:
            if item.name in numbers:
                crowd = item.is_difficult and custom.difficult == "ignore"
                labelled.add_box(numbers[item.name], _box(item, custom), item.place, crowd)
            else:
                text = f"{{!r}} is no class of {SECTION}.classes; {{}}"
                notes.error(f"{image.file} object {item.place}", text, item.name, did_you_mean(item.name, numbers))
    _tell_of_objects(images, custom, notes)
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    content: object = {"images": labelled.images, "annotations": labelled.boxes, "categories": categories}
    if custom.boxes_without_area == "drop":
        dropped = Findings(notes.file, labelled.named)
        content = without_empty_boxes(content, SECTION, dropped)
        notes.found += dropped.found
    root = custom.root / split.images
    return SourceSplit(
        notes.file, content, root, custom.orientation, custom.boxes_outside, SECTION, named=labelled.named
    )


def _box(item: VocObject, custom: VocDirSettings) -> tuple[float, float, float, float]:
    """``x, y, w, h`` in pixels, from 0 and with the right and lower edges exclusive."""
    x1, y1, x2, y2 = item.corners
    if custom.corners == "one_based":
        x1, y1 = x1 - 1, y1 - 1
    return x1, y1, x2 - x1, y2 - y1


def _tell_of_objects(images: Sequence[_Image], custom: VocDirSettings, notes: Findings) -> None:
    objects = [(f"{image.file} object {item.place}", item) for image in images for item in image.said.objects]
    difficult = [where for where, item in objects if item.is_difficult]
    if difficult and custom.difficult == "ignore":
        text = (
            "{} of {} are marked difficult and become crowd boxes: nothing is learnt from them, and detections on them "
            f"are neither right nor wrong ({SECTION}.difficult: keep for boxes as any other); the first: {{}}"
        )
        notes.warning("objects", text, len(difficult), len(objects), difficult[0])
    zero = [where for where, item in objects if min(item.corners[:2]) == 0]
    if zero and custom.corners == "one_based":
        text = (
            "{} of {} begin at 0, and VOC counts pixels from 1: if your tool counts from 0, set "
            f"`{SECTION}.corners: zero_based` in params.yaml, or all boxes are off by a pixel; the first: {{}}"
        )
        notes.warning("objects", text, len(zero), len(objects), zero[0])


def _images(split: VocSplitSettings, custom: VocDirSettings, notes: Findings) -> list[_Image]:
    """The split's images, in the order of its list or of their names; one without an XML file has no boxes."""
    pictures = _by_stem(custom.root / split.images, SUFFIXES, notes)
    files = _by_stem(custom.root / split.annotations, {".xml"}, notes)
    if split.image_set is None:
        for stem in sorted(files.keys() - pictures):
            notes.warning(_file(split, files[stem]), "there is no image of this name; its boxes are left out")
        stems = list(pictures)
    else:
        stems = _listed(custom.root / split.image_set, pictures, split, notes)
    images = []
    for stem in stems:
        said: VocFile | None = VocFile(None, None, [])
        if stem in files:
            said = _read(custom.root, _file(split, files[stem]), notes)
        if said is not None:
            images.append(_Image(pictures[stem], _file(split, files.get(stem, f"{stem}.xml")), said))
    _tell_of_unlabelled([pictures[stem] for stem in stems if stem not in files], len(stems), split, notes)
    return images


def _read(root: Path, file: str, notes: Findings) -> VocFile | None:
    try:
        content = read_regular(root / file, LARGEST_FILE)
    except OSError as error:
        notes.error(file, "cannot be read: {}", error.strerror)
        return None
    return read_voc(content, file, notes)


def _by_stem(folder: Path, suffixes: Set[str], notes: Findings) -> dict[str, str]:
    """Names of files below the folder by what they are without their suffix, in order; an error for two of one."""
    found: dict[str, str] = {}
    try:
        names = files_with(suffixes, folder)
    except OSError as error:
        notes.error("whole folder", f"{{}}: {{}}; check {SECTION} in params.yaml", folder, error.strerror)
        return found
    for name in names:
        stem = os.path.splitext(name)[0]  # noqa: PTH122 (a str need not become a Path)
        if stem in found:
            notes.error(name, "has the name of {}: which of the two is annotated?", found[stem])
        found.setdefault(stem, name)
    return found


def _file(split: VocSplitSettings, name: str) -> str:
    return (Path(split.annotations) / name).as_posix()


def _listed(path: Path, known: Mapping[str, str], split: VocSplitSettings, notes: Findings) -> list[str]:
    """The names of an image set of which there are images; an error for each other."""
    try:
        lines = [line.strip() for line in read_text(path).removeprefix("\ufeff").splitlines()]
    except UnreadableText as error:
        notes.error("image_set", f"{{}}: {{}}; check {SECTION} in params.yaml", path, error)
        return []
    for number, line in enumerate(lines, 1):
        if line and line not in known:
            notes.error(f"{path.name} line {number}", "there is no image {!r} in {}", line, split.images)
    return [line for line in lines if line in known]


def _tell_of_unlabelled(without: Sequence[str], images: int, split: VocSplitSettings, notes: Findings) -> None:
    if not images:
        notes.error("images", "there is none in {} ({})", split.images, ", ".join(sorted(SUFFIXES)))
    elif len(without) == images:
        text = "none of {} in {} has an XML file of its name in {}"
        notes.error("annotations", text, images, split.images, split.annotations)
    elif without:
        text = "{} of {} have no XML file and are taken for images without objects; the first: {}"
        notes.warning("images", text, len(without), images, without[0])
