"""Accuracy in detail: COCO's 12 numbers and the AP of every class."""

from pipeline.report import formats
from pipeline.report.collect import ModelResults, Results
from pipeline.report.comparison import difference
from pipeline.report.tables import Column, Table, number, row, text

COCO = {
    "ap": ("AP", "IoU 0.50 to 0.95"),
    "ap50": ("AP50", "IoU 0.50"),
    "ap75": ("AP75", "IoU 0.75"),
    "ap_small": ("AP small", "area below 32² px"),
    "ap_medium": ("AP medium", "area 32² to 96² px"),
    "ap_large": ("AP large", "area above 96² px"),
    "ar1": ("AR, 1 detection", "IoU 0.50 to 0.95"),
    "ar10": ("AR, 10 detections", "IoU 0.50 to 0.95"),
    "ar100": ("AR, 100 detections", "IoU 0.50 to 0.95"),
    "ar_small": ("AR small", "area below 32² px"),
    "ar_medium": ("AR medium", "area 32² to 96² px"),
    "ar_large": ("AR large", "area above 96² px"),
}
"""Title of each of COCO's numbers, and what it is over."""


def coco_table(results: Results) -> Table:
    """The 12 COCO numbers of every model, in points."""
    columns = (text("Number"), text("over"), *(_column(model, results) for model in results.models))
    rows = tuple(
        row(
            title,
            over,
            *(formats.points(getattr(model.evaluation.accuracy.numbers, field)) for model in results.models),
        )
        for field, (title, over) in COCO.items()
    )
    return Table(columns, rows)


def class_table(results: Results) -> Table:
    """AP of every class for every model, in points, and where the baseline exists the main student's gain over it."""
    baseline = results.baseline if results.main is not results.baseline else None
    columns = [text("Class"), number("boxes"), *(_column(model, results) for model in results.models)]
    if baseline:
        columns.append(number(f"{results.main.name} − {baseline.name}"))
    rows = []
    for reference in results.teacher.evaluation.accuracy.classes:
        found = {model.name: _class_ap(model, reference.name) for model in results.models}
        cells = [reference.name, formats.count(reference.boxes), *map(formats.points, found.values())]
        if baseline:
            cells.append(formats.signed_points(difference(found[results.main.name], found[baseline.name])))
        rows.append(row(*cells))
    return Table(tuple(columns), tuple(rows))


def _column(model: ModelResults, results: Results) -> Column:
    return number(model.name, emphasis=model is results.main)


def _class_ap(model: ModelResults, name: str) -> float | None:
    return next((item.ap for item in model.evaluation.accuracy.classes if item.name == name), None)
