"""What was found on pictures without boxes, as JSON."""

from pipeline.records import Record


class LabelledClass(Record):
    """One class: from ``threshold`` on a box is one (chosen on val; null: none is), below it uncertain."""

    name: str
    threshold: float | None
    boxes: int
    uncertain: int


class LabelRecord(Record):
    """How the pictures without boxes were labelled; ``by`` is null where there are none."""

    by: str | None
    sha256: str | None = None
    flip: bool = False
    least_score: float = 0.0
    images: int = 0
    images_without_boxes: int = 0
    classes: list[LabelledClass] = []


def in_words(record: LabelRecord) -> str:
    """What was found, in a line."""
    if record.by is None:
        return "no pictures to label: data.unlabelled names none, and label.labelled is off"
    boxes, unsure = (sum(getattr(each, name) for each in record.classes) for name in ("boxes", "uncertain"))
    return (
        f"{record.images} pictures labelled by {record.by}: {boxes} boxes, {unsure} more that are uncertain; nothing "
        f"sure in {record.images_without_boxes} pictures"
    )
