"""COCO json of a user's own folder, through the data stage as a whole: what it takes must be evaluable."""

import json
from pathlib import Path

import cv2
import numpy as np

from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.tree_damage import json_damage
from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.preparation import prepare
from pipeline.errors import PipelineError
from pipeline.evaluation.inputs import read_ground_truth

_WIDTH, _HEIGHT = 24, 16
_NAMES = ("a.png", "b.png")


def _split(first: int) -> dict[str, object]:
    """Two images with three boxes, of which one is a crowd."""
    images = [
        {"id": first + place, "file_name": name, "width": _WIDTH, "height": _HEIGHT}
        for place, name in enumerate(_NAMES)
    ]
    boxes: list[tuple[list[float], int, int, int]] = [
        ([2, 3, 10, 8], 0, 1, 0),
        ([0.5, 0, 23.5, 16], 0, 2, 1),
        ([4, 4, 5.5, 2.25], 1, 2, 0),
    ]
    annotations = [
        {
            "id": number,
            "image_id": first + image,
            "category_id": category,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": crowd,
            "segmentation": [[2, 3, 12, 3, 12, 11]],
        }
        for number, (box, image, category, crowd) in enumerate(boxes, start=1)
    ]
    categories = [{"id": 1, "name": "crown", "supercategory": "tree"}, {"id": 2, "name": "Stämme"}]
    return {"info": {"year": 2024}, "images": images, "annotations": annotations, "categories": categories}


def _pictures(shade: int) -> list[bytes]:
    noise = np.random.default_rng(shade).integers(0, 255, (len(_NAMES), _HEIGHT, _WIDTH, 3), dtype=np.uint8)
    return [cv2.imencode(".png", picture)[1].tobytes() for picture in noise]


_PICTURES = {"train": _pictures(1), "val": _pictures(2)}


def _read(path: Path) -> None:
    for name, pictures in _PICTURES.items():
        folder = path.parent / name
        folder.mkdir()
        for picture, content in zip(_NAMES, pictures, strict=True):
            (folder / picture).write_bytes(content)
    (path.parent / "train.json").write_text(json.dumps(_split(10)), encoding="utf-8")
    custom = CocoDirSettings(
        root=path.parent,
        train=CocoSplitSettings(annotations="train.json", images="train"),
        val=CocoSplitSettings(annotations=path.name, images="val"),
    )
    out = path.parent / "prepared"
    prepare(DataSettings(name="coco_dir", coco_dir=custom), out, path.parent / "cache")
    read_ground_truth(out / "val.json")


KIND = Kind(
    samples={"val": Sample("val.json", json.dumps(_split(20), ensure_ascii=False).encode(), json_damage)},
    read=_read,
    own=(PipelineError,),
    share=2,
)
