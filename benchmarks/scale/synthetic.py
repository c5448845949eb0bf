"""Boxes and detections like those on COCO's images, from a seed: 7.3 boxes an image, few classes with many of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 80
SIDE = 640
_BOXES_PER_IMAGE = 7.3
_CROWD = 0.01
_DETECTIONS = 100
_CORNERS = (4, 48)
_POLYGONS = 1000

Entries = list[dict[str, Any]]


def images_of(count: int) -> Entries:
    """Entries of so many images, numbered from 1; every fourth is upright."""
    sizes = [(SIDE, 480) if number % 4 else (480, SIDE) for number in range(count)]
    return [
        {"id": number, "file_name": f"{number:012d}.jpg", "width": width, "height": height}
        for number, (width, height) in enumerate(sizes, start=1)
    ]


def categories() -> Entries:
    """As many classes as COCO has."""
    return [{"id": number, "name": f"class {number}"} for number in range(1, CLASSES + 1)]


def boxes_on(images: int, random: np.random.Generator) -> Entries:
    """Annotations of that many images."""
    count = int(images * _BOXES_PER_IMAGE)
    corners, sizes = _boxes(count, random)
    frequent = _frequencies(random)
    columns = zip(
        random.integers(1, images + 1, count).tolist(),
        (random.choice(CLASSES, count, p=frequent) + 1).tolist(),
        np.hstack([corners, sizes]).tolist(),
        (random.random(count) < _CROWD).tolist(),
        strict=True,
    )
    return [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(crowd),
        }
        for number, (image, category, box, crowd) in enumerate(columns, start=1)
    ]


def detections_on(images: int, boxes: Entries, random: np.random.Generator) -> Entries:
    """COCO results, 100 an image: half near a box of the image, most of these of its class, the others anywhere."""
    by_image: dict[int, Entries] = {}
    for box in boxes:
        by_image.setdefault(box["image_id"], []).append(box)
    found = []
    for image in range(1, images + 1):
        corners, sizes = _boxes(_DETECTIONS, random)
        classes = random.integers(1, CLASSES + 1, _DETECTIONS)
        if here := by_image.get(image):
            near = np.flatnonzero(random.random(_DETECTIONS) < 0.5)
            taken = random.integers(len(here), size=len(near))
            truth = np.array([here[place]["bbox"] for place in taken]).reshape(-1, 4)
            moved = truth + random.normal(0, 0.12, truth.shape) * truth[:, [2, 3, 2, 3]]
            corners[near], sizes[near] = moved[:, :2], moved[:, 2:].clip(1)
            right = random.random(len(near)) < 0.8
            classes[near[right]] = [here[place]["category_id"] for place in taken[right]]
        scores = np.sort(random.beta(0.4, 3, _DETECTIONS))[::-1]
        columns = zip(classes.tolist(), np.hstack([corners, sizes]).round(2).tolist(), scores.tolist(), strict=True)
        found += [{"image_id": image, "category_id": c, "bbox": box, "score": score} for c, box, score in columns]
    return found


def write_annotations(path: Path, images: int) -> None:
    """Write a file as COCO's are: square images with addresses, boxes with polygons of 26 corners; 4.1 KB an image."""
    random = np.random.default_rng(images)
    outlines = [
        json.dumps([(random.random(2 * corners) * SIDE).round(2).tolist()])
        for corners in random.integers(*_CORNERS, _POLYGONS)
    ]
    address = "http://images.cocodataset.org/train2017/"
    with path.open("w") as stream:
        stream.write('{"info": {"year": 2017}, "licenses": [{"id": 1, "name": "none"}], "images": [')
        for entry in images_of(images):
            whole = entry | {"height": SIDE, "width": SIDE, "license": 1, "coco_url": address + entry["file_name"]}
            whole |= {"flickr_url": address + entry["file_name"], "date_captured": "2013-11-14 11:18:45"}
            stream.write((", " if entry["id"] > 1 else "") + json.dumps(whole))
        stream.write('], "annotations": [')
        for place, box in enumerate(boxes_on(images, random)):
            box["bbox"] = [round(value, 2) for value in box["bbox"]]
            outline = outlines[place % _POLYGONS]
            stream.write(f'{", " if place else ""}{{"segmentation": {outline}, {json.dumps(box)[1:]}')
        stream.write(f'], "categories": {json.dumps(categories())}}}')


def _boxes(count: int, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sizes = np.exp(random.normal(4, 0.9, (count, 2))).clip(4, 400)
    return random.random((count, 2)) * (SIDE - sizes), sizes


def _frequencies(random: np.random.Generator) -> NDArray[np.float64]:
    often = np.minimum(random.zipf(1.6, CLASSES), 60).astype(float)
    return often / often.sum()
