"""YOLO's labels and Pascal VOC's XML of a user's own folder, through the data stage and the search for them."""

import json
import re
from pathlib import Path
from random import Random

import cv2
import numpy as np

from benchmarks.fuzz.byte_damage import Damage, damage_bytes
from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.odd_values import YAML
from benchmarks.fuzz.tree_damage import tree_damage
from pipeline.dataset_settings import DataSettings
from pipeline.datasets.folder_format import class_names, detect, split_names
from pipeline.datasets.preparation import prepare
from pipeline.datasets.source_files import find_source_files
from pipeline.errors import DatasetError, PipelineError
from pipeline.evaluation.inputs import read_ground_truth

_WIDTH, _HEIGHT = 24, 16
_ROWS = "0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.5 0.5\n1 0.1 0.1 0.4 0.1 0.4 0.8 0.1 0.8\n"
_OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
    "<ymax>{}</ymax></bndbox></object>"
)
_XML = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    f"<annotation><size><width>{_WIDTH}</width><height>{_HEIGHT}</height></size>"
    f"{_OBJECT.format('Stämme', 0, 2, 3, 9, 11)}{_OBJECT.format('crown', 1, 1, 1, 24, 16.5)}</annotation>"
)
_CONFIG = {
    "path": "../own",
    "train": "../images/train",
    "val": ["images/val"],
    "test": "listed.txt",
    "nc": 2,
    "names": ["crown", "Stämme"],
    "download": "https://example.org/x.zip",
}
_SPLITS = ("train", "val", "test")
_ODD = (
    "",
    "nan",
    "inf",
    "1e999",
    "-0.5",
    "1_0",
    "9" * 5000,
    "٣",
    "0x1",
    "true",
    "../../x",
    "/etc/passwd",
    "\x00",
    "\x85",
)


def _damage_words(random: Random, content: bytes) -> bytes:
    """A word, or a value of XML, is another; in every second case damage to bytes."""
    words = re.split(r"([\s<>]+)", content.decode())
    if random.random() < 0.5:
        return damage_bytes(random, content)
    words[2 * random.randrange((len(words) + 1) // 2)] = random.choice(_ODD)
    return "".join(words).encode()


def _write(root: Path) -> None:
    """What of the folder is not there yet."""
    files = {"data.yaml": json.dumps(_CONFIG), "listed.txt": "images/test/pictured.png\n./images/test/other.png\n"}
    noise = np.random.default_rng(1)
    for split in _SPLITS:
        for name in ("pictured", "other"):
            files[f"labels/{split}/{name}.txt"] = _ROWS
            files[f"Annotations/{split}/{name}.xml"] = _XML
            picture = noise.integers(0, 255, (_HEIGHT, _WIDTH, 3), dtype=np.uint8)
            path = root / f"images/{split}/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    for name, text in files.items():
        if not (root / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")


def _read(path: Path) -> None:
    root = next(folder for folder in path.parents if folder.name == "own")
    _write(root)
    name = "voc_dir" if path.suffix == ".xml" else "yolo_dir"
    clip = {"boxes_outside": "clip", "boxes_without_area": "drop"}
    splits = {split: {"annotations": f"Annotations/{split}", "images": f"images/{split}"} for split in _SPLITS}
    section = {"root": root, **clip, **(splits if name == "voc_dir" else {})}
    settings = DataSettings.model_validate({"name": name, name: section})
    find_source_files(settings)
    try:
        found = detect(root, name)
        class_names(found), split_names(found)
    except DatasetError:
        pass  # what of the folder is wrong, the stage says
    out = root.parent / "prepared"
    prepare(settings, out, root.parent / "cache")
    read_ground_truth(out / "val.json")


def _samples(name: str, content: str, damage: Damage) -> Sample:
    return Sample(f"own/{name}", content.encode(), damage)


KIND = Kind(
    samples={
        "config": _samples("data.yaml", json.dumps(_CONFIG), tree_damage(_CONFIG, YAML)),
        "list": _samples("listed.txt", "images/test/pictured.png\n./images/test/other.png\n", _damage_words),
        "rows": _samples("labels/train/pictured.txt", _ROWS, _damage_words),
        "xml": _samples("Annotations/train/pictured.xml", _XML, _damage_words),
    },
    read=_read,
    own=(PipelineError,),
    share=2,
)
