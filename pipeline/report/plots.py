"""What ``dvc plots`` draws of all models together: precision over recall, and accuracy over latency.

``.dvc/plots`` has the templates, which give each model a colour; DVC's own have one a revision.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.layout import PRECISION_RECALL, TRADE_OFF
from pipeline.report.charts import trade_off_points
from pipeline.report.collect import Results
from pipeline.storage import write_csv

MEAN_IOU = "mean of 0.50 to 0.95"
_DIGITS = 4


def write_plots(results: Results, root: Path) -> None:
    """Write both tables below the project's ``root``; one without anything measured has no rows."""
    write_csv(root / PRECISION_RECALL, ["model", "iou", "recall", "precision"], precision_recall_rows(results))
    write_csv(root / TRADE_OFF, ["model", "rung", "p50_ms", "ap"], trade_off_rows(results))


def precision_recall_rows(results: Results) -> Iterator[tuple[str, str, float, float]]:
    """Precision of each model on the evaluated split at 101 recalls and three IoUs, averaged over the classes."""
    for model in results.models:
        for curve in model.evaluation.accuracy.curves:
            iou = MEAN_IOU if curve.iou is None else f"{curve.iou:.2f}"
            for recall, precision in zip(curve.recall, curve.precision, strict=True):
                yield model.name, iou, round(recall, _DIGITS), round(precision, _DIGITS)


def trade_off_rows(results: Results) -> Iterator[tuple[str, str, float, float]]:
    """Every rung that the report's chart shows: its p50 latency in ms and its AP in points."""
    for point in trade_off_points(results):
        yield point.model, point.backend, round(point.latency, _DIGITS), round(point.ap, _DIGITS)
