"""Bootstrap over images: how far mAP would move with another draw of test images.

Images are drawn with replacement and mAP is computed anew for each draw. An image drawn ``w`` times counts ``w`` times
in the accumulation, so that nothing is matched twice.

mAP is not linear in the images: its draws lie on average above the measured value, by as much as two of their standard
deviations where classes are many and rare, and scatter less than mAP does. So of the draws only the shape is taken:
their percentiles (Efron and Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall 1993, section 13.3) are
moved until the median lies on the measured value, and stretched to the standard error of the grouped jackknife (ibid.,
chapter 11) where that is the larger one. ``docs/evaluation.md`` holds the coverage of this interval, and of those that
it was chosen from, on simulated data.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.evaluation.coco_matching import ClassMatches
from pipeline.evaluation.resampled_ap import resampled_class_ap
from pipeline.records import Bootstrap, Difference, Interval
from pipeline.settings import EvaluateSettings

_JACKKNIFE_GROUPS = 50
_HIGHEST_AP = 100.0


def bootstrap_ap(matches: list[ClassMatches], settings: EvaluateSettings, measured: float) -> Bootstrap:
    """mAP of ``settings.resamples`` draws of the images, in points, and its interval.

    The draws and the jackknife's groups depend on the seed, the number of images and their index alone: the records of
    two models on one split belong together draw by draw.

    Args:
        matches: of every class; at least one box is to be found.
        settings: number of resamples, seed and confidence.
        measured: mAP of all images, in points.
    """
    images = len(matches[0].boxes)
    left = leave_groups_out(images, settings.seed)
    ap = resampled_ap(matches, np.concatenate([left, draw_images(images, settings.resamples, settings.seed)]))
    jackknife, draws = ap[: len(left)], ap[len(left) :]
    interval = centred_interval(measured, draws, jackknife_error(jackknife, measured, images), settings.confidence)
    return Bootstrap(
        seed=settings.seed,
        images=images,
        measured=measured,
        ap=_or_none(draws),
        jackknife=_or_none(jackknife),
        interval=_within(interval, 0, _HIGHEST_AP),
    )


def draw_images(images: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each image is drawn: ``[resamples, images]``, every row sums to ``images``."""
    return np.stack(
        [
            np.bincount(np.random.default_rng([seed, images, index]).integers(images, size=images), minlength=images)
            for index in range(resamples)
        ]
    )


def leave_groups_out(images: int, seed: int) -> NDArray[np.int64]:
    """Which images stay where each group is left out: ``[G, images]`` of 0 and 1, groups of equal size or one more.

    Groups are random, so that an order among the images does not make them unlike each other.
    """
    # Four numbers, where a draw has three: numpy gives [a, b] and [a, b, 0] the same stream.
    order = np.random.default_rng([seed, images, 0, 1]).permutation(images)
    groups = min(images, _JACKKNIFE_GROUPS)
    return (order % groups != np.arange(groups)[:, None]).astype(np.int64)


def resampled_ap(matches: list[ClassMatches], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """COCO's mAP in points for every row of ``draws`` ``[R, I]``: ``[R]``, ``nan`` where no box was drawn.

    Equal to running COCO's evaluation on literally duplicated images.
    """
    drawn = np.ascontiguousarray(draws.T, dtype=np.float32)
    by_class = np.stack([resampled_class_ap(item, drawn) for item in matches])
    present = ~np.isnan(by_class)
    with np.errstate(invalid="ignore"):
        return 100 * np.where(present, by_class, 0).sum(axis=0) / present.sum(axis=0)


def jackknife_error(left_out: NDArray[np.float64], measured: float, images: int) -> float:
    """Standard error of ``measured`` from its values ``[G]`` without each group of images.

    Groups may differ in size (Busing, Meijer and van der Leeden, "Delete-m jackknife for unequal m", Statistics and
    Computing 9, 1999, equation 7); for groups of one size it is the grouped jackknife.

    Returns:
        ``nan`` where a group holds every box, so that nothing can be measured without it.
    """
    groups = len(left_out)
    sizes = (images - np.arange(groups) + groups - 1) // groups
    share = sizes / images
    # A group of everything has no rest, and its value is nan already.
    with np.errstate(divide="ignore", invalid="ignore"):
        pseudo = measured / share - (1 / share - 1) * left_out
        mean = groups * measured - ((1 - share) * left_out).sum()
        return float(np.sqrt(((pseudo - mean) ** 2 / (1 / share - 1)).mean()))


def centred_interval(measured: float, draws: NDArray[np.float64], standard_error: float, confidence: float) -> Interval:
    """The central ``confidence`` of ``draws`` ``[R]``, moved and stretched; it always contains ``measured``.

    Args:
        measured: where the median of the draws is moved to.
        draws: ``nan`` are left out; where none is left or all are equal the interval is a point.
        standard_error: the draws are stretched until this is their standard deviation; never narrowed. ``nan`` leaves
            them as they are.
        confidence: 0 to 1.
    """
    present = draws[~np.isnan(draws)]
    deviation = float(present.std()) if present.size else 0.0
    if not deviation:
        return Interval(low=measured, high=measured, confidence=confidence)
    stretch = float(np.fmax(standard_error / deviation, 1))
    tail = (1 - confidence) / 2
    low, middle, high = np.quantile(present, [tail, 0.5, 1 - tail])
    return Interval(
        low=measured - stretch * float(middle - low),
        high=measured + stretch * float(high - middle),
        confidence=confidence,
    )


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
    draws = _or_nan(student.ap) - _or_nan(baseline.ap)
    if np.isnan(draws).all():
        raise PipelineError("bootstrap records cannot be paired: no draw has a mAP in both")
    measured = student.measured - baseline.measured
    error = jackknife_error(_or_nan(student.jackknife) - _or_nan(baseline.jackknife), measured, student.images)
    interval = centred_interval(measured, draws, error, student.interval.confidence)
    return Difference(measured=measured, interval=_within(interval, -_HIGHEST_AP, _HIGHEST_AP))


def _within(interval: Interval, lowest: float, highest: float) -> Interval:
    low, high = max(interval.low, lowest), min(interval.high, highest)
    return Interval(low=low, high=high, confidence=interval.confidence)


def _or_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _or_nan(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values])
