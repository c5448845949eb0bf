"""AP of one class for many resamples of the images, without sorting or matching anything again.

An image drawn ``w`` times lets each of its detections count ``w`` times. Precision is needed at true positives alone:
they alone raise recall, and the interpolated precision (the largest to the right) is always reached at one of them. So
the detections between two of them are added up by one product of a sparse matrix with the draws, and nothing is as
large as detections times draws. What is left, true positives times draws, is gone through in blocks of a few rows that
stay in a cache; numpy's running sums and maxima along the first axis go down each column by itself and take several
times as long as rows that are added to each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.evaluation.coco_matching import ClassMatches
from pipeline.evaluation.coco_numbers import RECALL_THRESHOLDS

_MOST_CELLS = 1 << 23
"""Of an array of true positives times draws: as many draws at once as there is memory for."""
_CELLS_IN_CACHE = 1 << 14
_EXACT_IN_FLOAT32 = 1 << 24

Counts = NDArray[np.float32] | NDArray[np.float64]
"""Whole numbers, in a type that holds them exactly."""


def resampled_class_ap(matches: ClassMatches, draws: Counts) -> NDArray[np.float64]:
    """AP of one class (0 to 1), averaged over IoU thresholds, for every column of ``draws``.

    Args:
        matches: of the class.
        draws: ``[I, R]``, how often each image is drawn.

    Returns:
        ``[R]``, ``nan`` where no box was drawn.
    """
    most = int(draws.max(initial=0))
    columns = _Columns.of(matches, most)
    if most * max(len(columns.row), int(matches.boxes.sum())) >= _EXACT_IN_FLOAT32:
        draws = draws.astype(np.float64)
    sums = columns.between_hits().astype(draws.dtype)
    every_box = np.matmul(matches.boxes.astype(draws.dtype), draws).astype(np.int64)
    ap = np.empty(draws.shape[1])
    at_once = max(1, _MOST_CELLS // max(1, columns.rows, len(columns.hits)))
    for first in range(0, draws.shape[1], at_once):
        weights = columns.weights(draws[:, first : first + at_once])
        boxes = every_box[first : first + at_once]
        every = _running_sum((sums @ weights).astype(np.float64))
        drawn = _Drawn(weights, weights[columns.row[columns.hits]].astype(np.float64), every, _Reached(boxes))
        total = np.zeros(len(boxes))
        for threshold in range(len(columns.matched)):
            total += columns.average_precision(threshold, drawn)
        ap[first : first + at_once] = np.where(boxes > 0, total / len(columns.matched), np.nan)
    return ap


class _Reached:
    """How many recall thresholds so many true positives reach in each draw, all looked up in one table."""

    def __init__(self, boxes: NDArray[np.int64]) -> None:
        """``boxes``: ``[R]``, to be found in each draw."""
        boxes = np.maximum(boxes, 1)
        needed = true_positives_needed(boxes)
        # No draw has more true positives than boxes.
        size = int(boxes.max()) + 1
        ends = np.append(needed, np.full((1, len(boxes)), size), axis=0)
        times = np.diff(ends, axis=0, prepend=0).T
        self._table = np.repeat(np.tile(np.arange(len(ends), dtype=np.uint8), len(boxes)), times.ravel())
        self._first = size * np.arange(len(boxes))

    def __call__(self, counts: NDArray[np.float64]) -> NDArray[np.uint8]:
        """``counts``: ``[n, R]``, true positives so far."""
        return np.asarray(self._table[counts.astype(np.int64) + self._first])


def true_positives_needed(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least that reach each of COCO's recall thresholds with so many boxes, as division and comparison say.

    Args:
        boxes: ``[R]``, at least 1.

    Returns:
        ``[101, R]``.
    """
    hundredths = np.arange(len(RECALL_THRESHOLDS))[:, None]
    needed = -(-hundredths * boxes // (len(RECALL_THRESHOLDS) - 1))
    # A threshold is no exact hundredth: 7 of 100 are less than the one at 7 %, which is 0.07 + 1.4e-17.
    return needed + (needed / boxes < RECALL_THRESHOLDS[:, None])


@dataclass(frozen=True)
class _Drawn:
    """What some draws make of the columns.

    Attributes:
        weights: ``[rows, R]``, of :meth:`_Columns.weights`.
        hits: ``[hits, R]``, how often each hit counts.
        every: ``[hits, R]``, running sum of all columns, at the hits.
        reached: recall thresholds.
    """

    weights: Counts
    hits: NDArray[np.float64]
    every: NDArray[np.float64]
    reached: _Reached


class _Columns:
    """The detections in the order of a literal duplication of images, each with what says how often it counts.

    Copies of one detection count as a block wherever its score differs from its neighbours' of the same image. Where
    several detections of one image share a score, COCO's stable sort keeps each duplicate of the image together, so
    that they are laid out copy by copy.

    Attributes:
        row: ``[D]``, which row of :meth:`weights` says how often a column counts.
        matched: ``[10, D]``, true positives.
        ignored: ``[10, D]``.
        hits: positions of the columns that are a true positive at some threshold.
        rows: number of rows of :meth:`weights`.
    """

    def __init__(
        self, row: NDArray[np.int64], copies: NDArray[np.int64], matched: NDArray[np.bool_], ignored: NDArray[np.bool_]
    ) -> None:
        self.row, self._copies = row, copies
        self.matched, self.ignored = matched & ~ignored, ignored
        self.hits = np.flatnonzero(self.matched.any(axis=0))
        self.rows = len(copies)

    @classmethod
    def of(cls, matches: ClassMatches, most: int) -> "_Columns":
        """Lay out the detections of a class for draws of an image up to ``most`` times."""
        detection, copy = _layout(matches, most)
        images = len(matches.boxes)
        pairs, row = np.unique((copy + 1) * images + matches.image[detection], return_inverse=True)
        copies = np.stack([pairs % images, pairs // images - 1], axis=1)
        return cls(row.reshape(-1), copies, matches.matched[:, detection], matches.ignored[:, detection])

    def weights(self, drawn: Counts) -> Counts:
        """How often the columns count: a block as often as its image, copy ``c`` once where that is drawn more often.

        Args:
            drawn: ``[I, R]``, how often each image is drawn.

        Returns:
            ``[rows, R]`` in the type of ``drawn``.
        """
        image, copy = self._copies.T
        times = drawn[image]
        laid_out = np.flatnonzero(copy >= 0)
        times[laid_out] = times[laid_out] > copy[laid_out, None]
        return times

    def between_hits(self) -> "sparse.csr_matrix":
        """The sum of the columns up to and with each hit, from the one before: ``[hits, rows]``."""
        end = self.hits[-1] + 1 if self.hits.size else 0
        starts = np.concatenate([[0], self.hits + 1])
        return sparse.csr_matrix((np.ones(end), self.row[:end], starts), shape=(len(self.hits), self.rows))

    def average_precision(self, threshold: int, drawn: _Drawn) -> NDArray[np.float64]:
        """Mean of the interpolated precision at COCO's 101 recall thresholds: ``[R]``.

        A true positive answers for the thresholds that it is first to reach.

        Args:
            threshold: index of the IoU threshold.
            drawn: of the draws.
        """
        here = np.flatnonzero(self.matched[threshold, self.hits])
        true = total = np.zeros(drawn.hits.shape[1])
        left_out = np.flatnonzero(self.ignored[threshold])
        lost = _running_sum(np.concatenate([true[None], drawn.weights[self.row[left_out]]]))
        before = np.searchsorted(left_out, self.hits[here])
        precision = np.empty((len(here), len(true)))
        reached = np.zeros((len(here) + 1, len(true)), dtype=np.uint8)
        for rows in _blocks(*precision.shape):
            counts = drawn.hits[here[rows]]
            counts[0] += true
            true = _running_sum(counts)[-1]
            kept = drawn.every[here[rows]]
            if left_out.size:
                kept -= lost[before[rows]]
            kept += np.spacing(1)
            np.divide(counts, kept, out=precision[rows])
            reached[1:][rows] = drawn.reached(counts)
        for right, row in pairwise(precision[::-1]):
            np.maximum(right, row, out=row)
        for rows in _blocks(*precision.shape):
            newly = reached[1:][rows] - reached[:-1][rows]
            total = np.concatenate([total[None], precision[rows] * newly]).sum(axis=0)
        return total / len(RECALL_THRESHOLDS)


def _running_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the first axis of ``[n, R]``, in place."""
    for above, row in pairwise(values):
        np.add(above, row, out=row)
    return values


def _blocks(rows: int, width: int) -> Iterator[slice]:
    """Consecutive rows that stay in a cache together."""
    step = max(1, _CELLS_IN_CACHE // max(1, width))
    return (slice(first, first + step) for first in range(0, rows, step))


def _layout(matches: ClassMatches, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``(detection, copy)``, both ``[columns]``; ``copy`` is -1 for a block of all copies."""
    count = len(matches.score)
    begins = np.ones(count, dtype=bool)
    begins[1:] = (matches.score[1:] != matches.score[:-1]) | (matches.image[1:] != matches.image[:-1])
    starts = np.flatnonzero(begins)
    sizes = np.diff(starts, append=count)
    lengths = np.where(sizes > 1, sizes * most, sizes)
    # The place of each column within its group: detection by detection, copy after copy.
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    start, size = np.repeat(starts, lengths), np.repeat(sizes, lengths)
    return start + place % size, np.where(size > 1, place // size, -1)
