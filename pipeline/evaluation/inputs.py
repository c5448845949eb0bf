"""Ground truth and detections read for evaluation, with everything checked that the evaluators take for granted."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from pydantic_core import from_json

from deploy.runtime.errors import shown
from deploy.runtime.split import Split, is_box
from deploy.runtime.text_files import LARGEST, MissingText, UnreadableText, is_finite, is_whole, parse_json, read_text
from pipeline.errors import DatasetError, PipelineError

_LISTED = 5
_KEYS = ("image_id", "category_id", "bbox", "score")


def read_ground_truth(path: Path) -> COCO:
    """Read the boxes of a split for evaluation.

    Raises:
        ArtefactError: the file is missing or none that the data stage wrote.
        DatasetError: it has no images or no categories.
    """
    split = Split.read(path)
    if not split.images or not split.categories:
        raise DatasetError(f"{path}: has no images or no categories, there is nothing to evaluate on")
    return ground_truth_of(split)


def ground_truth_of(split: Split) -> COCO:
    """The boxes of a split that has images and categories.

    Annotations are numbered anew from 1: COCO's matching stores the id of the matched box and takes 0 for "unmatched",
    so that a box with id 0 could never be found (cocodataset/cocoapi issue 664, faster_coco_eval issue 77).
    """
    annotations = [_annotation(number, item) for number, item in enumerate(split.annotations, start=1)]
    return indexed(split.images, split.categories, annotations)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read COCO results; raises :class:`PipelineError` naming the file when it is missing or no list of results."""
    try:
        content = _parsed(read_text(path))
    except MissingText as error:
        raise PipelineError(f"{path}: no such detections; run the stage that writes them (dvc repro)") from error
    except UnreadableText as error:
        raise PipelineError(f"{path}: {error}; run `dvc repro` to make it anew") from error
    if not isinstance(content, list) or not {*map(type, content)} <= {dict}:
        raise PipelineError(f"{path}: not a list of COCO results; run `dvc repro` to make it anew")
    return content


def _parsed(text: str) -> Any:
    """What :func:`parse_json` gives, in a third of its time; it is asked where there is something to say."""
    with no_collection():
        try:
            return from_json(text)
        except ValueError:
            return parse_json(text)


def read_detections(results: Sequence[dict[str, Any]], ground_truth: COCO, source: str = "detections") -> COCO:
    """Check COCO-format results and index them for evaluation; ``results`` itself is not changed.

    Raises:
        PipelineError: as :func:`check_results`.
    """
    check_results(results, ground_truth, source)
    with no_collection():
        detections = [_detection(number, item) for number, item in enumerate(results, start=1)]
        return indexed(ground_truth.dataset["images"], ground_truth.dataset["categories"], detections)


def check_results(results: Sequence[dict[str, Any]], ground_truth: COCO, source: str = "detections") -> None:
    """Check COCO-format results against the split that they are of.

    Args:
        results: items ``{image_id, category_id, bbox: [x, y, width, height], score}``; may be empty.
        source: where they are from, for the error.

    Raises:
        PipelineError: an item names an image or category that the ground truth does not have, lacks a key, or holds
            a number that is not finite or a negative size.
    """
    if not _all_fine(results, ground_truth):
        problems = [(index, problem) for index, item in enumerate(results) if (problem := _problem(item, ground_truth))]
        if problems:
            raise PipelineError(_cannot_be_evaluated(source, problems, len(results)))


def _cannot_be_evaluated(source: str, problems: list[tuple[int, str]], count: int) -> str:
    listed = "\n".join(f"  result {index}: {problem}" for index, problem in problems[:_LISTED])
    more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return (
        f"{source}: {len(problems)} of {count} results cannot be evaluated; "
        f"they must come from the split that they are compared with:\n{listed}{more}"
    )


def indexed(images: list[dict[str, Any]], categories: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> COCO:
    """A COCO object of what its json would hold; nothing is checked."""
    coco = COCO()
    coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
    coco.createIndex()
    return coco


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python look for no garbage inside: with each tenth of what is built it would go through all of it again.

    For what makes or holds an entry for every detection of a split.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _annotation(number: int, item: dict[str, Any]) -> dict[str, Any]:
    width, height = item["bbox"][2:]
    return {
        "id": number,
        "image_id": item["image_id"],
        "category_id": item["category_id"],
        "bbox": item["bbox"],
        "area": item.get("area", width * height),
        "iscrowd": int(item.get("iscrowd", 0)),
    }


def _detection(number: int, item: dict[str, Any]) -> dict[str, Any]:
    box = [float(value) for value in item["bbox"]]
    return {
        "id": number,
        "image_id": item["image_id"],
        "category_id": item["category_id"],
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
        "score": float(item["score"]),
    }


def _all_fine(results: Sequence[dict[str, Any]], ground_truth: COCO) -> bool:
    """Whether none has a :func:`_problem`, found for all at once; where this cannot tell, it says no."""
    try:
        # A list a key: items regrouped as tuples would be half a million of them.
        images, categories, boxes, scores = ([item[key] for item in results] for key in _KEYS)
        if {*map(type, images), *map(type, categories)} != {int} or {*map(type, boxes)} != {list}:
            return False
        values = [*chain.from_iterable(boxes), *scores]
        if {*map(len, boxes)} != {4} or not {*map(type, values)} <= {int, float}:
            return False
        numbers = np.array(values, dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    sizes = numbers[: -len(scores)].reshape(-1, 4)[:, 2:]
    known = {*images} <= ground_truth.imgs.keys() and {*categories} <= ground_truth.cats.keys()
    return bool(known and (np.abs(numbers) < LARGEST).all() and (sizes >= 0).all())


def _problem(item: dict[str, Any], ground_truth: COCO) -> str:
    if missing := [key for key in _KEYS if key not in item]:
        return f"the keys {missing} are missing"
    image, category, box, score = (item[key] for key in _KEYS)
    if not is_whole(image) or image not in ground_truth.imgs:
        return f"unknown image_id {shown(image)}"
    if not is_whole(category) or category not in ground_truth.cats:
        return f"unknown category_id {shown(category)}, known are {shown(sorted(ground_truth.cats))}"
    if not is_box(box):
        return f"bbox {shown(box)} is no [x, y, width, height]"
    return "" if is_finite(score) else f"score {shown(score)} is not finite"
