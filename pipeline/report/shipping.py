"""Which file to ship: the fastest artefact of a student that loses little of the best one's accuracy."""

from dataclasses import dataclass

from pipeline.layout import artefact_file
from pipeline.report import formats
from pipeline.report.beside import Beside, all_beside, beside, fastest_beside
from pipeline.report.collect import Results


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
    """Rungs of students whose AP is within ``report.max_ap_loss`` points of the best rung's; the fastest first.

    The twin is one of the students here: where distillation gave nothing, it is what ships. A rung that took no turns
    is none of them.
    """
    return _within_budget(_of_students(results), results)


def chosen_of(results: Results, model: str) -> Candidate | None:
    """What ships of one student: its first candidate, or for one beyond that budget the fastest within its own best's.

    Nothing where none of its artefacts took turns.
    """
    own = [item for item in _of_students(results) if item.beside.rung.model == model]
    found = [item for item in candidates(results) if item.beside.rung.model == model]
    return next(iter(found or _within_budget(own, results)), None)


def _of_students(results: Results) -> list[Candidate]:
    rungs = [found for found in all_beside(results) if found.rung.model != results.teacher.name]
    return [Candidate(each, each.ap) for each in rungs if each.ap is not None]


def _within_budget(found: list[Candidate], results: Results) -> list[Candidate]:
    best = max((item.ap for item in found), default=0.0)
    within = [item for item in found if item.ap >= best - results.params.report.max_ap_loss]
    return sorted(within, key=lambda item: item.beside.turns.milliseconds)


def shipping_sentences(results: Results) -> list[str]:
    """What to ship and why, and what the next two would be; nothing where no artefact of a student took turns.

    AP and time stand together only where they are of one file under one backend.
    """
    if not (found := candidates(results)):
        return []
    chosen, *others = found
    loss = formats.points(results.params.report.max_ap_loss)
    numbers = f"{formats.points(chosen.ap)} AP, {_time(chosen.beside)}"
    reason = f"It is the fastest of the students’ artefacts within {loss} AP points of the best, all taking turns."
    sentences = [f"Ship {chosen.file}{_score(results, chosen)}: {numbers}. {reason}"]
    if others:
        sentences.append(f"The next would be {', '.join(_listed(each.beside, each.file) for each in others[:2])}.")
    if known := _known(results, chosen):
        sentences.append(f"Beside it, the fastest of each: {', '.join(known)}.")
    students = [rung for rung in results.rungs if rung.model != results.teacher.name]
    if left_out := sum(beside(results, rung) is None for rung in students):
        sentences.append(f"Left out: {left_out} of the students’ {len(students)} rungs, which took no turns.")
    return sentences


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
