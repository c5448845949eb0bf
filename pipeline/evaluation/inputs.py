"""Ground truth and detections read for evaluation, with everything checked that the evaluators take for granted."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.errors import shown
from deploy.runtime.split import Split, is_box
from deploy.runtime.text_files import LARGEST, MissingText, UnreadableText, is_finite, is_whole, parse_json, read_text
from pipeline.errors import DatasetError, PipelineError
from pipeline.evaluation.box_overlaps import TruthBoxes

_LISTED = 5
_KEYS = ("image_id", "category_id", "bbox", "score")

Results = Sequence[dict[str, Any]] | DetectionColumns
"""COCO-format results ``{image_id, category_id, bbox: [x, y, width, height], score}``, in pixels; may be empty."""


@dataclass(frozen=True)
class GroundTruth:
    """What is to be found in a split: its images and categories by their ids, and its annotations."""

    images: Mapping[int, dict[str, Any]]
    categories: Mapping[int, dict[str, Any]]
    annotations: Sequence[dict[str, Any]]

    @cached_property
    def boxes(self) -> TruthBoxes:
        """The annotations as columns, in their order."""
        entries = self.annotations
        corner = np.array([item["bbox"] for item in entries], np.float64).reshape(-1, 4)
        area = np.array([item.get("area", np.nan) for item in entries], np.float64)
        return TruthBoxes(
            place=np.arange(len(entries)),
            image=np.array([item["image_id"] for item in entries], np.int64),
            category=np.array([item["category_id"] for item in entries], np.int64),
            corner=corner,
            area=np.where(np.isnan(area), corner[:, 2] * corner[:, 3], area),
            crowd=np.array([bool(item.get("iscrowd", 0)) for item in entries], np.bool_),
        )


def read_ground_truth(path: Path) -> GroundTruth:
    """Read the boxes of a split for evaluation.

    Raises:
        ArtefactError: the file is missing or none that the data stage wrote.
        DatasetError: it has no images or no categories.
    """
    split = Split.read(path)
    if not split.images or not split.categories:
        raise DatasetError(f"{path}: has no images or no categories, there is nothing to evaluate on")
    return ground_truth_of(split)


def ground_truth_of(split: Split) -> GroundTruth:
    """The boxes of a split that has images and categories; the ids of its annotations decide nothing."""
    images, categories = ({item["id"]: item for item in items} for items in (split.images, split.categories))
    return GroundTruth(images, categories, split.annotations)


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


def read_detections(results: Results, ground_truth: GroundTruth, source: str = "detections") -> DetectionColumns:
    """Check COCO-format results against the split that they are of; columns in their order.

    Args:
        results: what was found.
        ground_truth: of the split.
        source: where they are from, for the error.

    Raises:
        PipelineError: an item names an image or category that the ground truth does not have, lacks a key, or holds
            a number that is not finite or a negative size.
    """
    found = results if isinstance(results, DetectionColumns) else _of_kinds_known(results)
    if found is not None and _all_fine(found, ground_truth):
        return found
    items = results.results() if isinstance(results, DetectionColumns) else results
    problems = [(index, problem) for index, item in enumerate(items) if (problem := _problem(item, ground_truth))]
    if problems:
        raise PipelineError(_cannot_be_evaluated(source, problems, len(items)))
    return _columns(*([item[key] for item in items] for key in _KEYS))


def _cannot_be_evaluated(source: str, problems: list[tuple[int, str]], count: int) -> str:
    listed = "\n".join(f"  result {index}: {problem}" for index, problem in problems[:_LISTED])
    more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return (
        f"{source}: {len(problems)} of {count} results cannot be evaluated; "
        f"they must come from the split that they are compared with:\n{listed}{more}"
    )


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


def _of_kinds_known(results: Sequence[dict[str, Any]]) -> DetectionColumns | None:
    """The columns of results whose values are of the kinds that are written here, found for all at once."""
    try:
        # A list a key: items regrouped as tuples would be half a million of them.
        images, categories, boxes, scores = ([item[key] for item in results] for key in _KEYS)
        if {*map(type, images), *map(type, categories)} != {int} or {*map(type, boxes)} != {list}:
            return None
        kinds = {*map(type, chain.from_iterable(boxes)), *map(type, scores)}
        if {*map(len, boxes)} != {4} or not kinds <= {int, float}:
            return None
        return _columns(images, categories, boxes, scores)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _all_fine(found: DetectionColumns, ground_truth: GroundTruth) -> bool:
    """Whether none has a :func:`_problem`."""
    known = {*np.unique(found.image).tolist()} <= ground_truth.images.keys()
    known &= {*np.unique(found.category).tolist()} <= ground_truth.categories.keys()
    finite = (np.abs(found.box) < LARGEST).all() and (np.abs(found.score) < LARGEST).all()
    return bool(known and finite and (found.box[:, 2:] >= 0).all())


def _columns(
    images: list[int], categories: list[int], boxes: list[list[float]], scores: list[float]
) -> DetectionColumns:
    return DetectionColumns(
        np.array(images, np.int64),
        np.array(categories, np.int64),
        np.fromiter(chain.from_iterable(boxes), np.float64, 4 * len(boxes)).reshape(-1, 4),
        np.array(scores, np.float64),
    )


def _problem(item: dict[str, Any], ground_truth: GroundTruth) -> str:
    if missing := [key for key in _KEYS if key not in item]:
        return f"the keys {missing} are missing"
    image, category, box, score = (item[key] for key in _KEYS)
    if not is_whole(image) or image not in ground_truth.images:
        return f"unknown image_id {shown(image)}"
    if not is_whole(category) or category not in ground_truth.categories:
        return f"unknown category_id {shown(category)}, known are {shown(sorted(ground_truth.categories))}"
    if not is_box(box):
        return f"bbox {shown(box)} is no [x, y, width, height]"
    return "" if is_finite(score) else f"score {shown(score)} is not finite"
