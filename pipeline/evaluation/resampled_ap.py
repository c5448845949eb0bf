"""AP of one class for many resamples of the images, without sorting or matching anything again.

An image drawn ``w`` times lets each of its detections count ``w`` times. Precision is needed at true positives alone:
they alone raise recall, and the interpolated precision (the largest to the right) is always reached at one of them. So
the detections between two of them are added up by one product of a sparse matrix with the draws, and nothing is as
large as detections times draws.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.evaluation.coco_matching import ClassMatches

RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
_AFTER = np.append(RECALL_THRESHOLDS[1:], np.inf)
_MOST_CELLS = 1 << 20
"""Of the arrays that are worked on at once: little enough for a cache."""
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
    at_once = max(1, _MOST_CELLS // max(1, columns.rows, 2 * len(columns.hits)))
    for first in range(0, draws.shape[1], at_once):
        drawn = columns.weights(draws[:, first : first + at_once])
        boxes = every_box[first : first + at_once]
        every = np.cumsum(sums @ drawn, axis=0, dtype=np.float64)
        total = np.zeros(drawn.shape[1])
        for threshold in range(len(columns.matched)):
            total += columns.average_precision(threshold, drawn, every, boxes)
        ap[first : first + at_once] = np.where(boxes > 0, total / len(columns.matched), np.nan)
    return ap


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

    def average_precision(
        self, threshold: int, drawn: Counts, every: NDArray[np.float64], boxes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Mean of the interpolated precision at COCO's 101 recall thresholds: ``[R]``.

        A true positive answers for the thresholds that it is first to reach.

        Args:
            threshold: index of the IoU threshold.
            drawn: what :meth:`weights` gave.
            every: ``[hits, R]``, running sum of all columns.
            boxes: ``[R]``, boxes to be found.
        """
        here = np.flatnonzero(self.matched[threshold, self.hits])
        if not here.size:
            return np.zeros(len(boxes))
        true = np.cumsum(drawn[self.row[self.hits[here]]], axis=0, dtype=np.float64)
        kept = every[here]
        if (left_out := np.flatnonzero(self.ignored[threshold])).size:
            lost = np.cumsum(drawn[self.row[left_out]], axis=0, dtype=np.float64)
            before = np.searchsorted(left_out, self.hits[here])
            kept = kept - np.concatenate([np.zeros((1, lost.shape[1])), lost])[before]
        recall = true / np.maximum(boxes, 1)
        reached = thresholds_reached(recall)
        precision = true / (kept + np.spacing(1))
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        newly = np.diff(reached, axis=0, prepend=0)
        return np.asarray((envelope * newly).sum(axis=0) / len(RECALL_THRESHOLDS))


def thresholds_reached(recall: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of COCO's recall thresholds are no larger, as ``searchsorted`` finds it in twice the time."""
    near = (recall * (len(RECALL_THRESHOLDS) - 1)).astype(np.int64)
    # Rounding may have put it one beside the threshold.
    near -= RECALL_THRESHOLDS[near] > recall
    return near + 1 + (_AFTER[near] <= recall)


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
