"""From which score on boxes are shown, as JSON."""

from pipeline.records import Record


class AtScore(Record):
    """What the detections from a score on are worth, as fractions; ``precision`` is null where there are none."""

    precision: float | None
    recall: float
    f1: float
    detections: int


class ClassAtScore(Record):
    """One class at the detector's score, and the score that would be best for it alone."""

    name: str
    best_score: float | None
    measured: AtScore | None


class OperatingPoint(Record):
    """From which score on a detector's boxes are shown; null where it found nothing on the split that chooses.

    The score has the best F1 on ``chosen_on``; ``measured`` and ``classes`` are what it gives on ``measured_on``.
    """

    score: float | None
    chosen_on: str
    chosen: AtScore | None
    measured_on: str
    measured: AtScore | None
    classes: list[ClassAtScore]
