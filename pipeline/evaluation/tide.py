"""Which errors a detector makes and what each kind of them costs: TIDE.

Bolya, Foley, Hays and Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020, sections
2.2 and 2.3. Detections are right or wrong by COCO's matching at an IoU of 0.5; those on a crowd are left out. A wrong
one has a largest IoU with the boxes of its class (``own``) and one with the boxes of others (``other``), whether these
were found or not, and is of the first kind that fits:

======  =======================  ==========================================================
Loc     0.1 <= own <= 0.5        right class, poor place
Cls     other >= 0.5             right place, wrong class
Dupe    own >= 0.5               its box was found by a detection that scores better
Bkg     own, other <= 0.1        nothing is there
Both    the rest                 poor place and wrong class
======  =======================  ==========================================================

``Miss`` is a box that was not found and that no Loc or Cls error points at, by its largest IoU.

A kind costs what AP50 gains once its errors are mended: a Loc or Cls error whose box was not found, and that scores
best of all that point at that box, becomes right, in the class of the box and with its own score; every other wrong
detection goes; a missed box is not asked for. So nothing is left to be mended where all kinds are, and AP50 is 100.

Where the paper leaves a choice (several kinds fit, both a Loc and a Cls error point at a box), it is made as the
authors' ``tidecv`` 1.0.1 does. Two things are not as there: classes without a box are no part of AP50, as in COCO, and
a gain is shown as it is where that is below 0.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detection_columns import DetectionColumns
from pipeline.detection_error_records import ErrorKind
from pipeline.evaluation.box_overlaps import FoundBoxes, Overlaps, TruthBoxes, overlapping
from pipeline.evaluation.coco_matching import ALL_AREAS, AREAS, ClassMatches, ignored, match, strongest
from pipeline.evaluation.coco_numbers import accumulate
from pipeline.evaluation.inputs import GroundTruth

KINDS: tuple[ErrorKind, ...] = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
FOREGROUND_IOU = 0.5
BACKGROUND_IOU = 0.1
_CLS, _LOC, _BOTH, _DUPE, _BKG, _MISS = range(len(KINDS))
_RIGHT = _NOTHING = -1
_PERFECT = 100.0


@dataclass(frozen=True)
class JudgedDetections:
    """``D`` detections and the boxes of ``K`` classes, both without those that count neither for nor against.

    Attributes:
        image: ``[D]`` int, ids.
        category: ``[D]`` int, places among the sorted category ids.
        score: ``[D]`` float.
        kind: ``[D]`` int, the place of the error in :data:`KINDS`, -1 where there is none.
        mended: ``[D]`` int, the class in which a wrong one is right once its error is mended, -1 where it goes.
        boxes: ``[K]`` int, to be found.
        unfound: ``[K]`` int, not found.
        missed: ``[K]`` int, of the unfound those that no detection can be mended for.
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]
    kind: NDArray[np.int64]
    mended: NDArray[np.int64]
    boxes: NDArray[np.int64]
    unfound: NDArray[np.int64]
    missed: NDArray[np.int64]

    def count(self, kind: ErrorKind) -> int:
        """How many detections, or missed boxes, are of a kind."""
        return int(self.missed.sum() if kind == "Miss" else np.count_nonzero(self.kind == KINDS.index(kind)))

    def ap50(self, mended: Collection[ErrorKind] = ()) -> float | None:
        """AP50 in points once errors of the kinds ``mended`` are; None where there is no box to find."""
        chosen = np.isin(self.kind, [KINDS.index(kind) for kind in mended])
        kept = ~chosen | (self.mended != _NOTHING)
        category = np.where(chosen, self.mended, self.category)
        boxes = self.boxes - self.missed if "Miss" in mended else self.boxes
        return self._average_precision(category, (self.kind == _RIGHT) | chosen, boxes, kept)

    def ap50_without_false_positives(self) -> float | None:
        """AP50 in points of the right detections alone."""
        right = self.kind == _RIGHT
        return self._average_precision(self.category, right, self.boxes, right)

    def ap50_without_false_negatives(self) -> float | None:
        """AP50 in points where the boxes that were found are all that there are."""
        right = self.kind == _RIGHT
        return self._average_precision(self.category, right, self.boxes - self.unfound, np.ones_like(right))

    def _average_precision(
        self, category: NDArray[np.int64], right: NDArray[np.bool_], boxes: NDArray[np.int64], kept: NDArray[np.bool_]
    ) -> float | None:
        """Mean over the classes that have boxes; one that mending leaves none is no part of it, or 0 by what it found.

        As COCO has it, equal scores count in the order of the images.
        """
        if not self.boxes.any():
            return None
        order = np.flatnonzero(kept)
        order = order[np.lexsort((self.image[order], -self.score[order], category[order]))]
        parts = np.split(order, np.searchsorted(category[order], np.arange(1, len(boxes))))
        asked = [
            _class_matches(self.image[part], self.score[part], right[part], count)
            for part, count in zip(parts, boxes.tolist(), strict=True)
            if count
        ]
        left_over = [
            part.size for part, before, now in zip(parts, self.boxes, boxes, strict=True) if before and not now
        ]
        classes = len(asked) + sum(map(bool, left_over))
        if not asked:
            return 0.0 if classes else _PERFECT
        precision = accumulate({ALL_AREAS: asked}).precision[ALL_AREAS][0]
        return 100 * float(precision.mean()) * (len(asked) / classes)


def _class_matches(
    image: NDArray[np.int64], score: NDArray[np.float64], right: NDArray[np.bool_], boxes: int
) -> ClassMatches:
    """Of one class at the one IoU threshold."""
    return ClassMatches(image, score, right[None], np.zeros((1, len(right)), np.bool_), np.array([boxes]))


def judge_detections(ground_truth: GroundTruth, found: DetectionColumns) -> JudgedDetections:
    """Match detections as COCO does, with at most 100 of an image and class, and say how the others are wrong."""
    truths, detections, area = ground_truth.boxes, strongest(FoundBoxes.of(found)), AREAS[ALL_AREAS]
    overlaps = overlapping(truths, detections, FOREGROUND_IOU)
    matching = match(truths, detections, overlaps, np.array([FOREGROUND_IOU]), area)
    wanted, counted = ~ignored(truths, area), ~matching.left_out[0]
    truths, detections = truths.taken(wanted), detections.taken(counted)
    is_found, right = matching.found[0, wanted], matching.hit[0, counted]
    wrong = np.flatnonzero(~right)
    kind, box = _kinds(truths, detections.taken(wrong))
    claims = _best_claims(box, detections.score[wrong], is_found)
    classes = np.array(sorted(ground_truth.categories))
    of_truth, of_detection = (np.searchsorted(classes, each.category) for each in (truths, detections))
    kinds, mended = np.full(len(detections), _RIGHT), np.full(len(detections), _NOTHING)
    kinds[wrong] = kind
    mended[wrong[claims]] = of_truth[box[claims]]
    is_claimed = np.zeros(len(truths), dtype=bool)
    is_claimed[box[claims]] = True
    every, unfound, missed = (
        np.bincount(of_truth[which], minlength=len(classes))
        for which in (np.ones_like(is_found), ~is_found, ~is_found & ~is_claimed)
    )
    return JudgedDetections(detections.image, of_detection, detections.score, kinds, mended, every, unfound, missed)


def _kinds(truths: TruthBoxes, wrong: FoundBoxes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The kind of each wrong detection, and the box that a Loc or Cls error points at, -1 for the others."""
    anyhow = replace(truths, category=np.zeros_like(truths.category))
    pairs = overlapping(anyhow, replace(wrong, category=np.zeros_like(wrong.category)), BACKGROUND_IOU)
    same = truths.category[pairs.truth] == wrong.category[pairs.detection]
    (own, own_box), (other, other_box) = (_largest(pairs, which, len(wrong)) for which in (same, ~same))
    is_loc = (own >= BACKGROUND_IOU) & (own <= FOREGROUND_IOU)
    is_bkg = np.maximum(own, other) <= BACKGROUND_IOU
    kind = np.select([is_loc, other >= FOREGROUND_IOU, own >= FOREGROUND_IOU, is_bkg], [_LOC, _CLS, _DUPE, _BKG], _BOTH)
    return kind, np.select([kind == _LOC, kind == _CLS], [own_box, other_box], _NOTHING)


def _largest(pairs: Overlaps, which: NDArray[np.bool_], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each of ``count`` detections the largest IoU among some pairs, 0 where it has none, and the box of it."""
    some = np.flatnonzero(which)
    some = some[np.lexsort((-pairs.iou[some], pairs.detection[some]))]
    detection, first = np.unique(pairs.detection[some], return_index=True)
    iou, box = np.zeros(count), np.full(count, _NOTHING)
    iou[detection], box[detection] = pairs.iou[some[first]], pairs.truth[some[first]]
    return iou, box


def _best_claims(box: NDArray[np.int64], score: NDArray[np.float64], is_found: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of the detections that point at each box that was not found, the place of the one that scores best."""
    claims = np.flatnonzero(box != _NOTHING)
    claims = claims[~is_found[box[claims]]]
    claims = claims[np.lexsort((-score[claims], box[claims]))]
    return claims[np.unique(box[claims], return_index=True)[1]]
