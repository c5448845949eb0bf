"""The stage ``label``: a trained detector gives pictures without boxes some, each with its score.

From which score on a box of a class is one is chosen on the val split, by the best F1 of the class. What scores less is
uncertain: a training neither learns it as an object nor what lies in it as background.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.labelling.labeller import opened_labeller
from deploy.labelling.thresholds import class_thresholds, is_sure
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import category_ids
from deploy.runtime.split import Split
from deploy.runtime.split_detections import detect_split
from pipeline.datasets.prepared import VAL, find_split, read_dataset
from pipeline.label_records import LabelledClass, LabelRecord
from pipeline.label_settings import LabellingArtefact
from pipeline.layout import TEACHER
from pipeline.records import SplitRecord
from pipeline.settings import Params
from pipeline.storage import write_atomic


def label_pictures(params: Params, dataset_dir: Path, sources: Sequence[SplitRecord], target: Path) -> LabelRecord:
    """Label all pictures of some splits and write them with their boxes.

    Args:
        params: the section ``label`` and ``train.device`` are used.
        dataset_dir: a prepared data set.
        sources: whose pictures are labelled; boxes that they have do not count.
        target: COCO json for the pictures and what was found in them, with scores; ``iscrowd`` marks what is uncertain.

    Raises:
        CheckpointError: the artefact of ``label.by`` is another one than its hash says.
        ArtefactError: its classes are not the data set's.
        ImageError: a picture cannot be read.
    """
    settings = params.label
    pictures = gather(dataset_dir, sources)
    annotations, root = find_split(dataset_dir, VAL)
    val = Split.read(annotations)
    with opened_labeller(params, read_dataset(dataset_dir)) as (detector, digest):
        ids = category_ids(detector.spec.classes, pictures.categories, detector.spec.model)
        on_val = detect_split(detector, val, root, ids, "label val", detector.batch_size)
        found = detect_split(detector, pictures, dataset_dir, ids, "label", detector.batch_size)
    thresholds = class_thresholds(val, on_val)
    # mmdet drops boxes under a pixel in training.
    found = found.taken((found.score >= settings.least_score) & (found.box[:, 2:] >= 1).all(axis=1))
    sure = is_sure(found, thresholds)
    content = {
        "images": pictures.images,
        "annotations": list(_annotations(found, sure)),
        "categories": pictures.categories,
    }
    write_atomic(target, json.dumps(content, separators=(",", ":")) + "\n")
    return LabelRecord(
        by=str(settings.by.artefact) if isinstance(settings.by, LabellingArtefact) else TEACHER,
        sha256=digest,
        flip=settings.flip,
        least_score=settings.least_score,
        images=len(pictures.images),
        images_without_boxes=len(pictures.images) - len(np.unique(found.image[sure])),
        classes=[_counted(category, thresholds, found, sure) for category in pictures.categories],
    )


def gather(dataset_dir: Path, sources: Sequence[SplitRecord]) -> Split:
    """The pictures of several splits, with ids of their own and file names relative to ``dataset_dir``; no boxes."""
    splits = [(source, Split.read(dataset_dir / source.annotations)) for source in sources]
    images = [
        {**image, "file_name": (Path(source.image_root) / image["file_name"]).as_posix()}
        for source, split in splits
        for image in split.images
    ]
    images = [{**image, "id": place} for place, image in enumerate(images, start=1)]
    return Split(images, splits[0][1].categories, [])


def _annotations(found: DetectionColumns, sure: NDArray[np.bool_]) -> Iterator[dict[str, Any]]:
    for place, (result, is_one) in enumerate(zip(found.results(), sure.tolist(), strict=True), start=1):
        width, height = result["bbox"][2:]
        yield {"id": place, **result, "area": width * height, "iscrowd": int(not is_one)}


def _counted(
    category: dict[str, Any], thresholds: dict[int, float | None], found: DetectionColumns, sure: NDArray[np.bool_]
) -> LabelledClass:
    of_class = found.category == category["id"]
    return LabelledClass(
        name=category["name"],
        threshold=thresholds[category["id"]],
        boxes=int((of_class & sure).sum()),
        uncertain=int((of_class & ~sure).sum()),
    )
