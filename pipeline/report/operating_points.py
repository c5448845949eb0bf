"""From which score on each model's boxes are shown, and what of them is then right."""

from pipeline.operating_point_records import AtScore
from pipeline.report import formats
from pipeline.report.collect import Results
from pipeline.report.tables import Table, number, row, text


def operating_table(results: Results) -> Table:
    """Each model's score of the best F1 on val, with precision, recall and F1 there and on the evaluated split."""
    first = results.models[0].point
    splits = [first.chosen_on, *([first.measured_on] if first.measured_on != first.chosen_on else [])]
    columns = [text("Model"), number("score")]
    columns += [number(f"{title}, {split}") for split in splits for title in ("precision", "recall", "F1")]
    rows = []
    for model in results.models:
        point = model.point
        cells = [cell for found in (point.chosen, point.measured)[: len(splits)] for cell in _cells(found)]
        rows.append(row(model.name, _fraction(point.score), *cells))
    return Table(tuple(columns), tuple(rows))


def class_score_table(results: Results) -> Table:
    """A row a class and model: the score best for both alone, and precision, recall and F1 at the model's own score."""
    points = {model.name: {item.name: item for item in model.point.classes} for model in results.models}
    rows = [
        row(item.name, model, _fraction(classes[item.name].best_score), *_cells(classes[item.name].measured))
        for item in results.main.point.classes
        for model, classes in points.items()
        if item.name in classes
    ]
    titles = ("own best score", "precision", "recall", "F1")
    return Table((text("Class"), text("Model"), *map(number, titles)), tuple(rows))


def operating_note(results: Results) -> str:
    """How the scores were chosen, and whether on the pictures that they are measured on."""
    point = results.main.point
    text = (
        "A detection is right that finds a box of its class at an IoU of 0.5. The score has the best F1 over all "
        f"classes on the {point.chosen_on} split; it stands in the artefact, and deploy.predict shows boxes from it on."
    )
    if results.is_measured_on_val:
        text += " The numbers are of the pictures that chose it, so they flatter."
    return text


def _cells(found: AtScore | None) -> list[str]:
    """Precision, recall and F1."""
    numbers = (found.precision, found.recall, found.f1) if found else (None, None, None)
    return [*map(_fraction, numbers)]


def _fraction(value: float | None) -> str:
    return formats.MISSING if value is None else f"{value:.2f}"
