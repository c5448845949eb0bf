"""What each detection of an image is worth: right, wrong, or a box that was missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from faster_coco_eval import COCO

from pipeline.evaluation.inputs import check_results
from pipeline.report.outcome_matching import annotated, detected, match

MATCH_IOU = 0.5

Kind = Literal["truth", "crowd", "right", "wrong", "missed"]


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


def judge(
    ground_truth: COCO, results: Sequence[dict[str, Any]], score_threshold: float, source: str = "detections"
) -> dict[int, Outcome]:
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
    check_results(results, ground_truth, source)
    shown = [item for item in results if item["score"] >= score_threshold]
    annotations = list(ground_truth.anns.values())
    truths, detections = annotated(annotations), detected(shown)
    matching = match(truths, detections, MATCH_IOU)
    missed = np.flatnonzero(~matching.found & ~truths.ignored)
    # The best score comes last, so that its label is drawn on top.
    kept = np.flatnonzero(~matching.left_out)[::-1]
    names = {category: entry["name"] for category, entry in ground_truth.cats.items()}
    drawn = [_drawn(annotations[place], names, "missed") for place in truths.place[missed].tolist()]
    kinds: list[Kind] = ["right" if hit else "wrong" for hit in matching.hit[kept].tolist()]
    entries = [shown[place] for place in detections.place[kept].tolist()]
    drawn += [_drawn(entry, names, kind) for entry, kind in zip(entries, kinds, strict=True)]
    image = np.concatenate([truths.image[missed], detections.image[kept]])
    category = np.concatenate([truths.category[missed], detections.category[kept]])
    boxes: dict[int, list[DrawnBox]] = {number: [] for number in ground_truth.imgs}
    for place in np.lexsort((category, image)).tolist():
        boxes[image[place]].append(drawn[place])
    return {number: Outcome(tuple(found)) for number, found in boxes.items()}


def _drawn(entry: Mapping[str, Any], names: Mapping[int, str], kind: Kind) -> DrawnBox:
    return DrawnBox(_corners(entry), names[entry["category_id"]], kind, entry.get("score"))


def truth_boxes(ground_truth: COCO, image: int) -> tuple[DrawnBox, ...]:
    """The annotated boxes of one image."""
    return tuple(
        DrawnBox(
            _corners(item),
            ground_truth.cats[item["category_id"]]["name"],
            "crowd" if item["iscrowd"] else "truth",
        )
        for item in ground_truth.imgToAnns[image]
    )


def choose_images(ground_truth: COCO, outcomes: Sequence[Mapping[int, Outcome]], count: int) -> list[int]:
    """Choose images from easy to hard without looking at them: the middles of ``count`` equal parts of the ranking.

    Images with boxes are ranked by their F1, averaged over the models; equal ones by their id.
    """
    candidates = [image for image in sorted(ground_truth.imgs) if ground_truth.imgToAnns[image]]
    candidates = candidates or sorted(ground_truth.imgs)
    ranked = sorted(candidates, key=lambda image: -float(np.mean([outcome[image].f1 for outcome in outcomes])))
    count = min(count, len(ranked))
    return [ranked[(2 * part + 1) * len(ranked) // (2 * count)] for part in range(count)]


def _corners(item: Mapping[str, Any]) -> tuple[float, float, float, float]:
    x, y, width, height = item["bbox"]
    return x, y, x + width, y + height
