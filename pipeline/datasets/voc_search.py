"""Where in a folder Pascal VOC's XML files and their images are, and how their corners are counted."""

from itertools import islice
from pathlib import Path
from typing import Any

from deploy.runtime.regular_files import read_regular
from pipeline.datasets.findings import Findings
from pipeline.datasets.folder_listing import files_below, is_hidden
from pipeline.datasets.pascal_voc import LARGEST_FILE, read_voc
from pipeline.datasets.split_words import SPLITS, split_folders

_ANNOTATIONS = ("Annotations", "annotations", "xml", "xmls", "labels")
_IMAGES = ("JPEGImages", "images", "Images", "imgs", "img")
_IMAGE_SETS = Path("ImageSets/Main")
_LOOKED_AT = 5000
"""XML files that are searched for a corner at 0."""


def find_voc(root: Path) -> dict[str, Any] | str:
    """The section of a folder with Pascal VOC's annotations, or why there is none."""
    section = _with_folders(root) or _with_splits(root) or _side_by_side(root)
    if section is None:
        return (
            f"no XML file with the root <annotation> in {', '.join(_ANNOTATIONS)} (with images in "
            f"{', '.join(_IMAGES)}), in folders of splits (train, valid, test), or beside images in the folder itself"
        )
    # VOC counts from 1: a corner at 0 says that a tool did not.
    return {**section, "corners": "zero_based"} if _begins_at_0(root / section["train"]["annotations"]) else section


def _with_folders(root: Path) -> dict[str, Any] | None:
    """VOC's own layout and its relatives: a folder for the XML files, one for the images."""
    annotations = next((name for name in _ANNOTATIONS if _has_files(root / name)), None)
    images = next((name for name in _IMAGES if (root / name).is_dir()), None)
    if annotations is None or images is None:
        return None
    both = {"annotations": annotations, "images": images}
    sets = {split: _IMAGE_SETS / f"{split}.txt" for split in ("train", "val", "test", "trainval", "default")}
    there = {split: path.as_posix() for split, path in sets.items() if (root / path).is_file()}
    if "train" in there and "val" in there:
        # The list of VOC's own test split is there before its annotations are.
        if "test" in there and not _is_annotated(root / annotations, root / there["test"]):
            there.pop("test")
        named: dict[str, Any] = {split: {**both, "image_set": there[split]} for split in SPLITS if split in there}
        return {**named, "test": named.get("test")}
    if whole := there.get("trainval") or there.get("default") or there.get("train"):
        return {"train": {**both, "image_set": whole}, "val": None}
    if splits := split_folders(root / images):
        named = {
            split: {"annotations": f"{annotations}/{path.name}", "images": f"{images}/{path.name}"}
            for split, path in splits.items()
        }
        if all(_has_files(root / split["annotations"]) for split in named.values()):
            return {"val": None, "test": None, **named}
    return {"train": both, "val": None}


def _with_splits(root: Path) -> dict[str, Any] | None:
    """A folder a split: with the files side by side, as Roboflow exports them, or with folders of their own."""
    found: dict[str, Any] = {}
    for split, folder in split_folders(root).items():
        inner = _with_folders(folder)
        if inner is not None:
            found[split] = {key: f"{folder.name}/{inner['train'][key]}" for key in ("annotations", "images")}
        elif _has_files(folder):
            found[split] = {"annotations": folder.name, "images": folder.name}
    return {"val": None, "test": None, **found} if "train" in found else None


def _side_by_side(root: Path) -> dict[str, Any] | None:
    return {"train": {"annotations": ".", "images": "."}, "val": None} if _has_files(root, deep=False) else None


def _has_files(folder: Path, deep: bool = True) -> bool:
    """Whether a folder holds XML files of this kind, by the first."""
    return any(b"<annotation" in _beginning(path) for path in _xml_files(folder, 1, deep))


def _beginning(path: Path) -> bytes:
    try:
        return read_regular(path, LARGEST_FILE)[:2000]
    except OSError:
        return b""


def _xml_files(folder: Path, most: int, deep: bool = True) -> list[Path]:
    if not folder.is_dir():
        return []
    if not deep:
        return list(islice(sorted(folder.glob("*.xml")), most))
    names = (name for name, _, _ in files_below(folder) if name.lower().endswith(".xml") and not is_hidden(name))
    return [folder / name for name in islice(names, most)]


def _is_annotated(annotations: Path, image_set: Path) -> bool:
    lines = image_set.read_text(encoding="utf-8", errors="replace").split("\n", 1)
    return (annotations / f"{lines[0].strip()}.xml").is_file()


def _begins_at_0(annotations: Path) -> bool:
    notes = Findings("")
    for path in _xml_files(annotations, _LOOKED_AT):
        try:
            said = read_voc(read_regular(path, LARGEST_FILE), path.name, notes)
        except OSError:
            continue
        if said is not None and any(min(item.corners[:2]) == 0 for item in said.objects):
            return True
    return False
