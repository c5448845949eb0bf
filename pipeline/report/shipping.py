"""Which file to ship, as the stage ``choose`` decided, and what it is worth on the measured pictures."""

from dataclasses import dataclass

from pipeline.errors import PipelineError
from pipeline.layout import CHOSEN, COMPARISON, artefact_file, report_file
from pipeline.report import formats
from pipeline.report.beside import Beside, all_beside, beside, fastest_beside
from pipeline.report.collect import Results
from pipeline.shipping_records import ChoosingRung


@dataclass(frozen=True)
class Candidate:
    """A student's artefact under a backend, with its own AP in points and its own time beside all others."""

    beside: Beside
    ap: float

    @property
    def file(self) -> str:
        """The file that would ship."""
        return artefact_file(self.beside.rung.model, self.beside.rung.run.artefact).as_posix()


def candidates(results: Results) -> list[Candidate]:
    """What ships and what would be next, the fastest first.

    The twin is one of the students here: where distillation gave nothing, it is what ships.
    """
    return [_candidate(results, each) for each in results.chosen.candidates]


def chosen_of(results: Results, model: str) -> Candidate | None:
    """What ships of one student; nothing where none of its artefacts took turns."""
    found = results.chosen.of_model.get(model)
    return _candidate(results, found) if found else None


def _candidate(results: Results, chosen: ChoosingRung) -> Candidate:
    key = chosen.model, chosen.artefact, chosen.backend
    for found in all_beside(results):
        run = found.rung.run
        if (found.rung.model, run.artefact, run.backend) == key and found.ap is not None:
            return Candidate(found, found.ap)
    raise PipelineError(
        f"{CHOSEN}: chose {chosen.artefact} of {chosen.model} under {chosen.backend}, which is not among those that "
        f"{COMPARISON} and {report_file('benchmark', chosen.model)} hold; run `dvc repro` to choose anew"
    )


def shipping_sentences(results: Results) -> list[str]:
    """What to ship and why, and what the next two would be; nothing where no artefact of a student took turns.

    AP and time stand together only where they are of one file under one backend.
    """
    if not (found := candidates(results)):
        return []
    chosen, *others = found
    numbers = f"{formats.points(chosen.ap)} AP, {_time(chosen.beside)}"
    sentences = [f"Ship {chosen.file}{_score(results, chosen)}: {numbers}. {_reason(results)}"]
    if others:
        sentences.append(f"The next would be {', '.join(_listed(each.beside, each.file) for each in others[:2])}.")
    if known := _known(results, chosen):
        sentences.append(f"Beside it, the fastest of each: {', '.join(known)}.")
    students = [rung for rung in results.rungs if rung.model != results.teacher.name]
    if left_out := sum(beside(results, rung) is None for rung in students):
        sentences.append(f"Left out: {left_out} of the students’ {len(students)} rungs, which took no turns.")
    return sentences


def _reason(results: Results) -> str:
    choice = results.chosen
    loss, reached = formats.points(choice.max_ap_loss), formats.points(choice.candidates[0].ap)
    best = f", {reached} of {formats.points(choice.best.ap)}" if choice.best else ""
    return (
        f"It is the fastest of the students’ artefacts within {loss} AP points of the best on {choice.split}{best}, "
        "all taking turns."
    )


def _known(results: Results, chosen: Candidate) -> list[str]:
    """The fastest artefacts of the teacher and the twin, as far as they are not what ships."""
    models = [model.name for model in (results.teacher, results.baseline) if model]
    found = [fastest_beside(results, name) for name in models if name != chosen.beside.rung.model]
    return [_listed(each, each.rung.model) for each in found if each]


def _score(results: Results, chosen: Candidate) -> str:
    score = next(model.point.score for model in results.models if model.name == chosen.beside.rung.model)
    return "" if score is None else f" with score threshold {score:.2f}"


def _listed(found: Beside, name: str) -> str:
    return f"{name} ({formats.points(found.ap)} AP, {_time(found)})"


def _time(found: Beside) -> str:
    return f"{formats.milliseconds(found.turns.milliseconds)}\u00a0ms, {found.title}"
