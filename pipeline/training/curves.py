"""Training curves as CSV, the form that ``dvc plots`` reads."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pipeline.storage import write_atomic
from pipeline.training_records import TrainingRecord


def write_curves(record: TrainingRecord, losses: Path, validation: Path) -> None:
    """Write one row a logged step (every loss term) and one row a validation (mAP in points)."""
    terms = sorted({name for point in record.points for name in point.losses})
    rows = [[p.iteration, p.learning_rate, *(p.losses.get(name, "") for name in terms)] for p in record.points]
    _write(losses, ["iteration", "learning_rate", *terms], rows)
    _write(validation, ["iteration", "ap"], [[point.iteration, point.ap] for point in record.validation])


def _write(path: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomic(path, buffer.getvalue())
