"""Training curves as CSV, the form that ``dvc plots`` reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from pipeline.storage import write_csv
from pipeline.training_records import TrainingPoint, TrainingRecord

MOST_POINTS = 300
"""Of a curve. A training on COCO logs ten thousand, more than a plot has pixels."""
Point = TypeVar("Point")


def write_curves(record: TrainingRecord | None, losses: Path, validation: Path) -> None:
    """Write every loss term, and mAP on the val split in points, over the iterations.

    A long curve is cut into equal shares: of losses a row is their mean at the share's last iteration, of validations
    the best one. Without a record, of what was not trained here, the tables have no rows, and DVC draws nothing.
    """
    points, validations = (record.points, record.validation) if record else ([], [])
    terms = sorted({name for point in points for name in point.losses}) or ["loss"]
    rows = [
        [share[-1].iteration, share[-1].learning_rate, *(_mean(share, term) for term in terms)]
        for share in _shares(points)
    ]
    write_csv(losses, ["iteration", "learning_rate", *terms], rows)
    best = [max(share, key=lambda point: -1.0 if point.ap is None else point.ap) for share in _shares(validations)]
    write_csv(validation, ["iteration", "ap"], [[point.iteration, point.ap] for point in best])


def _shares(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    size = max(1, -(-len(points) // MOST_POINTS))
    return (points[first : first + size] for first in range(0, len(points), size))


def _mean(points: Sequence[TrainingPoint], term: str) -> float | str:
    values = [point.losses[term] for point in points if term in point.losses]
    return fmean(values) if values else ""
