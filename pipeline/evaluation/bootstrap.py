"""Bootstrap over images: how far mAP would move with another draw of test images.

Images are drawn with replacement and mAP is computed anew for each draw; the interval is the percentile interval of
Efron and Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall 1993, section 13.3. An image drawn ``w`` times
counts ``w`` times in the accumulation, so that nothing is matched twice.

mAP is not linear in the images: its draws lie on average a little above the measured value (half a point on 400 images
of a hard data set), and the percentile interval is not corrected for it. In a paired difference it all but cancels.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.evaluation.coco_matching import ClassMatches
from pipeline.records import Bootstrap, Difference, Interval
from pipeline.settings import EvaluateSettings

RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
_MOST_CELLS = 100_000


def bootstrap_ap(matches: list[ClassMatches], settings: EvaluateSettings) -> Bootstrap | None:
    """mAP of ``settings.resamples`` draws of the images, in points.

    The draws depend on the seed, the number of images and the draw's index alone: the records of two models on one
    split belong together draw by draw.

    Returns:
        The draws and their interval; ``None`` if no draw has a box to find.
    """
    images = len(matches[0].boxes)
    draws = draw_images(images, settings.resamples, settings.seed)
    ap = resampled_ap(matches, draws)
    present = ap[~np.isnan(ap)]
    if not present.size:
        return None
    return Bootstrap(
        seed=settings.seed,
        images=images,
        ap=[None if np.isnan(value) else float(value) for value in ap],
        interval=percentile_interval(present, settings.confidence),
    )


def draw_images(images: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each image is drawn: ``[resamples, images]``, every row sums to ``images``."""
    return np.stack(
        [
            np.bincount(np.random.default_rng([seed, images, index]).integers(images, size=images), minlength=images)
            for index in range(resamples)
        ]
    )


def resampled_ap(matches: list[ClassMatches], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """COCO's mAP in points for every row of ``draws`` ``[R, I]``: ``[R]``, ``nan`` where no box was drawn.

    Equal to running COCO's evaluation on literally duplicated images.
    """
    by_class = np.stack([_class_ap(item, draws) for item in matches])
    present = ~np.isnan(by_class)
    with np.errstate(invalid="ignore"):
        return 100 * np.where(present, by_class, 0).sum(axis=0) / present.sum(axis=0)


def percentile_interval(values: NDArray[np.float64], confidence: float) -> Interval:
    """The central ``confidence`` of ``values`` (Efron and Tibshirani 1993, equation 13.5)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high), confidence=confidence)


def paired_difference(student: Bootstrap, baseline: Bootstrap) -> Difference:
    """Difference of mAP, student minus baseline, draw by draw: both saw the same images in every draw.

    Raises:
        PipelineError: the records are of different draws and cannot be paired.
    """
    for key, one, other in (
        ("seed", student.seed, baseline.seed),
        ("number of images", student.images, baseline.images),
        ("number of resamples", len(student.ap), len(baseline.ap)),
        ("confidence", student.interval.confidence, baseline.interval.confidence),
    ):
        if one != other:
            raise PipelineError(
                f"bootstrap records cannot be paired: the {key} is {one} for the student and {other} for the baseline; "
                "evaluate both on the same split with the same `evaluate` parameters (dvc repro)"
            )
    pairs = [
        (one, other)
        for one, other in zip(student.ap, baseline.ap, strict=True)
        if one is not None and other is not None
    ]
    if not pairs:
        raise PipelineError("bootstrap records cannot be paired: no draw has a mAP in both")
    differences = np.array([one - other for one, other in pairs])
    return Difference(
        mean=float(differences.mean()),
        interval=percentile_interval(differences, student.interval.confidence),
    )


def _class_ap(matches: ClassMatches, draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """AP of one class (0 to 1) for every draw, averaged over IoU thresholds; ``nan`` where no box was drawn."""
    detection, copy = _columns(matches, int(draws.max()))
    matched, ignored = matches.matched[:, detection], matches.ignored[:, detection]
    image = matches.image[detection]
    ap = np.empty(len(draws))
    rows = max(1, _MOST_CELLS // max(1, len(detection)))
    for first in range(0, len(draws), rows):
        part = draws[first : first + rows].T
        boxes = matches.boxes @ part
        weights = _weights(part[image], copy)
        every = np.cumsum(weights, axis=0)
        total = np.zeros(part.shape[1])
        for found, left_out in zip(matched, ignored, strict=True):
            kept = np.cumsum(weights * ~left_out[:, None], axis=0) if left_out.any() else every
            total += _average_precision(weights, kept, np.flatnonzero(found & ~left_out), boxes)
        ap[first : first + rows] = np.where(boxes > 0, total / len(matched), np.nan)
    return ap


def _average_precision(
    weights: NDArray[np.int64], kept: NDArray[np.int64], hits: NDArray[np.int64], boxes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the interpolated precision at COCO's 101 recall thresholds for ``R`` draws: ``[R]``.

    Only true positives need to be looked at: they alone raise recall, and the interpolated precision (the largest to
    the right) is always reached at one of them. A true positive answers for the thresholds that it is first to reach.

    Args:
        weights: ``[D, R]``, how often each detection is drawn.
        kept: ``[D, R]``, running sum of the weights of the detections that count.
        hits: positions of the true positives.
        boxes: ``[R]``, boxes to be found.
    """
    if not hits.size:
        return np.zeros(len(boxes))
    true = np.cumsum(weights[hits], axis=0)
    precision = true / (kept[hits] + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    recall = true / np.maximum(boxes, 1)
    reached = np.searchsorted(RECALL_THRESHOLDS, recall, side="right")
    newly = np.diff(reached, axis=0, prepend=0)
    return np.asarray((envelope * newly).sum(axis=0) / len(RECALL_THRESHOLDS))


def _columns(matches: ClassMatches, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The detections in the order of a literal duplication: ``(detection, copy)``, both ``[columns]``.

    Copies of one detection may be counted as a block (``copy`` -1) wherever its score differs from its neighbours' of
    the same image. Where several detections of one image share a score, COCO's stable sort keeps each duplicate of
    the image together, so that they are laid out copy by copy, ``most`` times.
    """
    count = len(matches.score)
    follows = np.zeros(count, dtype=bool)
    follows[1:] = (matches.score[1:] == matches.score[:-1]) & (matches.image[1:] == matches.image[:-1])
    starts = np.flatnonzero(~follows)
    sizes = np.diff(starts, append=count)
    if not follows.any():
        return np.arange(count), np.full(count, -1)
    detection, copy = [], []
    for start, size in zip(starts, sizes, strict=True):
        copies = most if size > 1 else 1
        detection.append(np.tile(np.arange(start, start + size), copies))
        copy.append(np.repeat(np.arange(copies), size) if size > 1 else np.array([-1]))
    return np.concatenate(detection), np.concatenate(copy)


def _weights(drawn: NDArray[np.int64], copy: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each column counts, ``[columns, R]``: a block as often as its image, copy ``c`` if it is drawn."""
    blocks = copy[:, None] < 0
    return np.where(blocks, drawn, drawn > copy[:, None])
