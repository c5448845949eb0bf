"""What each detection of an image is worth: right, wrong, or a box that was missed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pipeline.evaluation.box_overlaps import FoundBoxes, overlapping
from pipeline.evaluation.coco_matching import ALL_AREAS, AREAS, ignored, match, strongest
from pipeline.evaluation.inputs import GroundTruth, read_detections

MATCH_IOU = 0.5

Kind = Literal["truth", "crowd", "right", "wrong", "missed"]
_KINDS: tuple[Kind, ...] = ("right", "wrong", "missed")


@dataclass(frozen=True)
class DrawnBox:
    """A box to draw: corners in pixels of the original image, class name, score of a detection."""

    corners: tuple[float, float, float, float]
    name: str
    kind: Kind
    score: float | None = None


@dataclass(frozen=True)
class Outcome:
    """One image under one model: detections at or above the threshold, and the boxes that none of them found."""

    boxes: tuple[DrawnBox, ...]

    def count(self, kind: Kind) -> int:
        """How many boxes are of ``kind``."""
        return sum(box.kind == kind for box in self.boxes)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall (0 to 1); 1 for an image without boxes and without detections."""
        right, errors = self.count("right"), self.count("wrong") + self.count("missed")
        return 2 * right / (2 * right + errors) if right or errors else 1.0


class Outcomes(Mapping[int, Outcome]):
    """The outcome of every image by its id, made when it is asked for: thousands are ranked and a few are drawn."""

    def __init__(self, ground_truth: GroundTruth, results: Sequence[dict[str, Any]], shown: FoundBoxes) -> None:
        """``shown``: columns of those of the ``results`` that count."""
        truths, detections, area = ground_truth.boxes, strongest(shown), AREAS[ALL_AREAS]
        overlaps = overlapping(truths, detections, MATCH_IOU)
        matching = match(truths, detections, overlaps, np.array([MATCH_IOU]), area)
        missed = np.flatnonzero(~matching.found[0] & ~ignored(truths, area))
        # The best score comes last, so that its label is drawn on top.
        kept = np.flatnonzero(~matching.left_out[0])[::-1]
        image = np.concatenate([truths.image[missed], detections.image[kept]])
        category = np.concatenate([truths.category[missed], detections.category[kept]])
        order = np.lexsort((category, image))
        kinds = np.concatenate([np.full(len(missed), 2), np.where(matching.hit[0, kept], 0, 1)])
        self._image, self._kind = image[order], kinds[order]
        self._place = np.concatenate([truths.place[missed], detections.place[kept]])[order]
        self._entries = {"right": results, "wrong": results, "missed": ground_truth.annotations}
        self._names = {number: category["name"] for number, category in ground_truth.categories.items()}
        self._images = list(ground_truth.images)

    def __getitem__(self, image: int) -> Outcome:
        if image not in self.f1:
            raise KeyError(image)
        start, end = np.searchsorted(self._image, [image, image + 1])
        found = zip(self._kind[start:end].tolist(), self._place[start:end].tolist(), strict=True)
        return Outcome(tuple(self._drawn(_KINDS[kind], place) for kind, place in found))

    def __iter__(self) -> Iterator[int]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)

    @cached_property
    def f1(self) -> dict[int, float]:
        """:attr:`Outcome.f1` of every image."""
        images, place = np.unique(np.concatenate([self._images, self._image]), return_inverse=True)
        place = place[len(self._images) :]
        right = 2 * np.bincount(place[self._kind == 0], minlength=len(images))
        errors = np.bincount(place[self._kind != 0], minlength=len(images))
        values = np.where(right + errors, right / np.maximum(right + errors, 1), 1.0)
        return dict(zip(images.tolist(), values.tolist(), strict=True))

    def _drawn(self, kind: Kind, place: int) -> DrawnBox:
        entry = self._entries[kind][place]
        return DrawnBox(_corners(entry), self._names[entry["category_id"]], kind, entry.get("score"))


def judge(
    ground_truth: GroundTruth, results: Sequence[dict[str, Any]], score_threshold: float, source: str = "detections"
) -> Outcomes:
    """Match detections with boxes of their class at IoU 0.5 by COCO's own rule, best score first.

    A detection on a crowd box is neither right nor wrong and is left out.

    Args:
        ground_truth: of the split that was evaluated.
        results: COCO-format results of one model.
        score_threshold: detections below it are left out.
        source: where the results are from, for the error.

    Returns:
        One outcome an image id.

    Raises:
        PipelineError: results name unknown images or categories or are malformed.
    """
    found = FoundBoxes.of(read_detections(results, ground_truth, source))
    return Outcomes(ground_truth, results, found.taken(found.score >= score_threshold))


def truth_boxes(ground_truth: GroundTruth, image: int) -> tuple[DrawnBox, ...]:
    """The annotated boxes of one image."""
    boxes = ground_truth.boxes
    items = [
        (ground_truth.annotations[place], boxes.crowd[place]) for place in np.flatnonzero(boxes.image == image).tolist()
    ]
    return tuple(
        DrawnBox(_corners(item), ground_truth.categories[item["category_id"]]["name"], "crowd" if crowd else "truth")
        for item, crowd in items
    )


def choose_images(ground_truth: GroundTruth, scores: Sequence[Mapping[int, float]], count: int) -> list[int]:
    """Choose images from easy to hard without looking at them: the middles of ``count`` equal parts of the ranking.

    Images with boxes are ranked by their F1, averaged over the models; equal ones by their id. ``scores`` are the F1
    of every image, by its id, of each model.
    """
    candidates = np.unique(ground_truth.boxes.image).tolist() or sorted(ground_truth.images)
    ranked = sorted(candidates, key=lambda image: -float(np.mean([score[image] for score in scores])))
    count = min(count, len(ranked))
    return [ranked[(2 * part + 1) * len(ranked) // (2 * count)] for part in range(count)]


def _corners(item: Mapping[str, Any]) -> tuple[float, float, float, float]:
    x, y, width, height = item["bbox"]
    return x, y, x + width, y + height
