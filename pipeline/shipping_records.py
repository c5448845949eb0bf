"""Which artefact ships and how it was chosen, as JSON."""

from pipeline.records import Record


class ChoosingRung(Record):
    """A rung that took turns with all others; ``ap`` is its own on the split that chooses, in points."""

    model: str
    artefact: str
    backend: str
    ap: float | None


class ShippingChoice(Record):
    """The fastest artefacts that lose little AP on ``images`` of ``split``.

    ``best`` is the most accurate of the students' most exact rungs, which ``max_ap_loss`` points are counted from.
    ``candidates`` is what ships and what would be next, the fastest first. ``of_model`` is what ships of each student:
    of one beyond that budget the fastest within the same of its own most exact rung. ``measured`` is all that was
    measured for it, in the order in which it was.
    """

    split: str
    images: int
    max_ap_loss: float
    best: ChoosingRung | None
    candidates: list[ChoosingRung]
    of_model: dict[str, ChoosingRung]
    measured: list[ChoosingRung]
