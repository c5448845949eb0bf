"""Times that may stand beside each other: those of the one run in which the rungs of all models took turns."""

from dataclasses import dataclass

from pipeline.deploy_records import ComparedRung
from pipeline.report import formats
from pipeline.report.collect import Results, Rung
from pipeline.report.names import run_title
from pipeline.report.tables import Table, number, row, text

NO_TURNS = "no turns"


@dataclass(frozen=True)
class Beside:
    """A rung that took turns with those of all models, and what it took."""

    rung: Rung
    turns: ComparedRung

    @property
    def title(self) -> str:
        """Backend and precision in words."""
        return run_title(self.rung.run)

    @property
    def ap(self) -> float | None:
        """Of this very artefact under this backend, in points."""
        accuracy = self.rung.run.accuracy
        return accuracy.numbers.ap if accuracy else None


def beside(results: Results, rung: Rung) -> Beside | None:
    """What a rung took beside all others; None where it took no turns."""
    key = (rung.model, rung.run.artefact, rung.run.backend)
    found = (each for each in results.comparison.rungs if (each.model, each.artefact, each.backend) == key)
    return next((Beside(rung, each) for each in found), None)


def all_beside(results: Results) -> list[Beside]:
    """Every rung that took turns, in the order of the models."""
    return [found for rung in results.rungs if (found := beside(results, rung))]


def fastest_beside(results: Results, model: str) -> Beside | None:
    """The rung of a model that was the fastest while all took turns."""
    own = [found for found in all_beside(results) if found.rung.model == model]
    return min(own, key=lambda found: found.turns.milliseconds, default=None)


def reference(results: Results) -> Beside | None:
    """The teacher's rung that the others are compared with; None where it has none."""
    own = [found for found in all_beside(results) if found.rung.model == results.teacher.name]
    return next((found for found in own if found.turns is results.comparison.rungs[0]), None)


def milliseconds(results: Results, rung: Rung) -> str:
    """The median call of a rung beside all others."""
    found = beside(results, rung)
    return formats.milliseconds(found.turns.milliseconds) if found else NO_TURNS


def speed(found: Beside) -> str:
    """How many times as fast as the reference, and the quartiles: ``3.5× (3.4× to 3.6×)``."""
    turns = found.turns
    return f"{formats.times(turns.times_as_fast)} ({formats.span(turns.low, turns.high, formats.times)})"


def turns_table(results: Results) -> Table:
    """Every rung of every model: its own mAP, and its time beside all others."""
    has_groups = len(results.comparison.groups) > 1
    group = [number("group")] if has_groups else []
    columns = (text("Model"), text("Rung"), number("mAP"), number("ms"), number("times as fast"), *group)
    rows = []
    for rung in results.rungs:
        found, accuracy = beside(results, rung), rung.run.accuracy
        cells = [rung.model, run_title(rung.run), formats.points(accuracy.numbers.ap if accuracy else None)]
        cells += [milliseconds(results, rung), speed(found) if found else formats.MISSING]
        cells += [formats.count(found.turns.group + 1) if found else formats.MISSING] if has_groups else []
        rows.append(row(*cells))
    return Table(columns, tuple(rows))


def absent_table(results: Results) -> Table:
    """The rungs that ran and took no turns, and why."""
    reasons = {(each.model, each.artefact, each.backend): each.reason for each in results.comparison.absent}
    rows = tuple(
        row(rung.model, run_title(rung.run), reasons.get((rung.model, rung.run.artefact, rung.run.backend), "unknown"))
        for rung in results.rungs
        if beside(results, rung) is None
    )
    return Table((text("Model"), text("Rung"), text("took no turns because")), rows)


def turns_note(results: Results) -> str:
    """How the times that stand side by side came about."""
    comparison = results.comparison
    if not comparison.rungs:
        return "No rung took turns with another, so there are no times that may stand side by side."
    rounds = [group.rounds for group in comparison.groups]
    spread = f"{min(rounds)}" if min(rounds) == max(rounds) else f"{min(rounds)} to {max(rounds)}"
    first = comparison.rungs[0]
    title = next((found.title for found in all_beside(results) if found.turns is first), first.backend)
    note = (
        f"The rungs of all models took turns in one run, {spread} rounds, batch {comparison.batch_size}: ms is the "
        f"median call, times as fast is beside {first.model} under {title}, with the quartiles over the rounds."
    )
    if len(rounds) == 1:
        return note
    own = [group.reference for group in comparison.groups]
    return (
        f"{note} Not all of them could be open at once: there were {len(rounds)} groups, and that rung was in each "
        f"({formats.milliseconds(min(own))} to {formats.milliseconds(max(own))} ms). Times of different groups are "
        "tied through it."
    )


def left_out_note(results: Results) -> str:
    """How many rungs are not shown because they took no turns; empty where there are none."""
    count = len(absent_table(results).rows)
    return f"Not shown: {count} that took no turns, of which the section on latency tells why." if count else ""
