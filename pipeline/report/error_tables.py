"""Where each model errs: what the kinds of errors cost, and which classes are taken for which."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.detection_error_records import Confusion, DetectionErrors, ErrorKind
from pipeline.report import formats
from pipeline.report.collect import ModelResults, Results
from pipeline.report.tables import Column, Table, listing, number, row, text

MOST_CLASSES = 20
"""With more, a matrix fits no page: the pairs of classes that are confused most stand for it."""
MOST_PAIRS = 15
BACKGROUND = "background"

KINDS: Mapping[ErrorKind, tuple[str, str]] = {
    "Cls": ("wrong class (Cls)", "wrong classes"),
    "Loc": ("poor place (Loc)", "poor places"),
    "Both": ("poor place and wrong class (Both)", "poor places of a wrong class"),
    "Dupe": ("duplicate (Dupe)", "duplicates"),
    "Bkg": ("background (Bkg)", "detections of background"),
    "Miss": ("missed (Miss)", "missed boxes"),
}
"""Title of each kind in a table, and its errors in a sentence."""

TERMS = (
    "Wrong class: on a box of another class. Poor place: an IoU of 0.1 to 0.5 with a box of its class. Duplicate: on a "
    "box that a better score found. Background: on nothing. Missed: a box that no wrong class or poor place points at."
)


@dataclass(frozen=True)
class ShadedCell:
    """A number and how much of its colour stands behind it, 0 to 1."""

    text: str
    shade: float
    kind: Literal["right", "wrong"]


@dataclass(frozen=True)
class Matrix:
    """Boxes by their class (rows) and by the class that they were detected as (columns), the background last.

    Attributes:
        classes: names, without the background.
        rows: a row a class and one for the background. Shades are roots of the share of the row, so that a few of many
            can be seen.
    """

    classes: tuple[str, ...]
    rows: tuple[tuple[ShadedCell, ...], ...]

    @property
    def table(self) -> Table:
        """The same without colours."""
        titles = (*self.classes, BACKGROUND)
        columns = (text("Truth ↓, detected as →"), *map(number, titles))
        rows = zip(titles, self.rows, strict=True)
        return Table(columns, tuple(row(title, *(cell.text for cell in cells)) for title, cells in rows))


@dataclass(frozen=True)
class Confused:
    """What one model confuses: its matrix, or with many classes the pairs that are confused most.

    Attributes:
        matrix: None where there are too many classes.
        table: either, without colours.
    """

    model: str
    summary: str
    is_main: bool
    matrix: Matrix | None
    table: Table


def error_table(results: Results) -> Table:
    """AP50 of every model, and by how many points it would rise without each kind of error."""
    every = [model.errors for model in results.models]
    rows = [row("AP50 as it is", *(formats.points(errors.ap50) for errors in every))]
    rows += [
        row(title, *(formats.signed_points(_cost(errors, kind)) for errors in every))
        for kind, (title, _) in KINDS.items()
    ]
    rows.append(row("all wrong detections", *(formats.signed_points(errors.false_positives) for errors in every)))
    rows.append(row("all boxes not found", *(formats.signed_points(errors.false_negatives) for errors in every)))
    return Table(_columns("AP50 gains without", results), tuple(rows))


def count_table(results: Results) -> Table:
    """How many errors of each kind every model makes."""
    by_model = [{item.kind: item.count for item in model.errors.kinds} for model in results.models]
    rows = (row(title, *(formats.count(found[kind]) for found in by_model)) for kind, (title, _) in KINDS.items())
    return Table(_columns("How many, over all scores", results), tuple(rows))


def error_bars(results: Results) -> dict[str, list[float]]:
    """How long the bar of each model is, 0 to 1, by the first cell of a kind's row; 1 is the largest cost of all."""
    costs = {title: [_cost(model.errors, kind) or 0 for model in results.models] for kind, (title, _) in KINDS.items()}
    most = max(map(max, costs.values()))
    return {title: [max(value, 0) / most if most > 0 else 0.0 for value in values] for title, values in costs.items()}


def _columns(title: str, results: Results) -> tuple[Column, ...]:
    return (text(title), *(number(model.name, emphasis=model is results.main) for model in results.models))


def _cost(errors: DetectionErrors, kind: ErrorKind) -> float | None:
    return next(item.delta_ap50 for item in errors.kinds if item.kind == kind)


def error_sentence(results: Results) -> str:
    """What the main student loses most by, beside the others."""
    main = results.main
    costs = {item.kind: item.delta_ap50 for item in main.errors.kinds if item.delta_ap50 is not None}
    worst = max(costs, key=lambda kind: costs[kind], default=None)
    if worst is None or costs[worst] <= 0:
        return f"No kind of error costs {main.name} AP50."
    others = [
        f"{model.name}’s by {formats.points(_cost(model.errors, worst))}"
        for model in (results.teacher, results.baseline)
        if model is not None and model is not main
    ]
    return (
        f"{main.name} loses most by {KINDS[worst][1]}: without them its AP50 of {formats.points(main.errors.ap50)} "
        f"would rise by {formats.points(costs[worst])} points ({', '.join(others)})."
    )


def confused(results: Results) -> list[Confused]:
    """What each model confuses from its operating point's score on; models that have none are left out."""
    return [_confused(model, model is results.main) for model in results.models if model.errors.score is not None]


def _confused(model: ModelResults, is_main: bool) -> Confused:
    errors = model.errors
    mixed, missed, of_nothing = (
        formats.count(sum(item.count for item in errors.confusion if is_meant(item)))
        for is_meant in (_is_mixed, lambda item: item.predicted is None, lambda item: item.truth is None)
    )
    summary = f"from score {errors.score:.2f} on: {mixed} confused, {missed} missed, {of_nothing} of background"
    matrix = _matrix(errors) if len(errors.classes) <= MOST_CLASSES else None
    return Confused(model.name, summary, is_main, matrix, matrix.table if matrix else _pair_table(errors))


def _is_mixed(item: Confusion) -> bool:
    return item.truth is not None and item.predicted is not None and item.truth != item.predicted


def _matrix(errors: DetectionErrors) -> Matrix:
    counts = {(item.truth, item.predicted): item.count for item in errors.confusion}
    names = [*errors.classes, None]
    rows = []
    for truth in names:
        of_row = [counts.get((truth, predicted), 0) for predicted in names]
        most = sum(of_row) or 1
        rows.append(
            tuple(
                ShadedCell(
                    formats.count(count) if count else "",
                    (count / most) ** 0.5,
                    "right" if truth == predicted else "wrong",
                )
                for predicted, count in zip(names, of_row, strict=True)
            )
        )
    return Matrix(tuple(errors.classes), tuple(rows))


def _pair_table(errors: DetectionErrors) -> Table:
    boxes: Counter[str | None] = Counter()
    for item in errors.confusion:
        boxes[item.truth] += item.count
    mixed = [item for item in errors.confusion if _is_mixed(item)]
    shown = sorted(mixed, key=lambda item: (-item.count, boxes[item.truth]))[:MOST_PAIRS]
    return listing(
        shown,
        {
            text("Truth"): lambda item: item.truth or "",
            text("detected as"): lambda item: item.predicted or "",
            number("boxes"): lambda item: formats.count(item.count),
            number("of the class’s boxes"): lambda item: formats.percent(item.count / boxes[item.truth]),
        },
    )


def confusion_note(results: Results) -> str:
    """How the confusion matrix is made, and whether it or its largest entries are shown."""
    made = (
        "Detections from each model’s own score on, matched inside their class as COCO does at an IoU of 0.5, and what "
        "is left over then across the classes."
    )
    if len(results.main.errors.classes) > MOST_CLASSES:
        return f"{made} Shown are the {MOST_PAIRS} pairs of classes that each model confuses most."
    return (
        f"{made} A row is what became of the boxes of one class; the last column are missed boxes, the last row "
        "detections that belong to no box."
    )
