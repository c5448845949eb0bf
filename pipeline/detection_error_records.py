"""What a detector's errors are and what they cost, as JSON."""

from typing import Literal

from pipeline.records import Record

ErrorKind = Literal["Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"]
"""TIDE's names: wrong class, wrong place, both, duplicate, background, missed box."""


class ErrorCost(Record):
    """How many detections (of ``Miss``, boxes) are wrong in one way.

    ``delta_ap50`` is by how many points AP50 would rise without them; null where the split has no box to find.
    """

    kind: ErrorKind
    count: int
    delta_ap50: float | None


class Confusion(Record):
    """How many boxes of class ``truth`` were detected as ``predicted``; null is the background.

    So a missed box has no ``predicted`` class, and a detection that belongs to no box no ``truth``.
    """

    truth: str | None
    predicted: str | None
    count: int


class DetectionErrors(Record):
    """Kinds of errors, over all scores, and the confusion matrix of the detections from ``score`` on.

    ``confusion`` holds the entries that are not 0; it is empty where there is no ``score``. ``false_positives`` and
    ``false_negatives`` are by how much AP50 would rise without each, as ``delta_ap50``.
    """

    split: str
    classes: list[str]
    ap50: float | None
    kinds: list[ErrorCost]
    false_positives: float | None
    false_negatives: float | None
    score: float | None
    confusion: list[Confusion]
