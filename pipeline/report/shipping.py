"""Which file to ship: the fastest artefact of a student that loses little of the best one's accuracy."""

from dataclasses import dataclass

from pipeline.layout import artefact_file
from pipeline.report import formats
from pipeline.report.collect import Results
from pipeline.report.comparison import Measured, compared, reference_batch
from pipeline.report.names import run_title


@dataclass(frozen=True)
class Candidate:
    """A student's artefact under a backend, with its own AP in points and its own latency."""

    measured: Measured
    ap: float

    @property
    def file(self) -> str:
        """The file that would ship."""
        return artefact_file(self.measured.model, self.measured.run.artefact).as_posix()


def candidates(results: Results) -> list[Candidate]:
    """Rungs of students whose AP is within ``report.max_ap_loss`` points of the best rung's; the fastest first.

    Each is as fast as in its own run, which orders them and is no comparison to be shown. The twin is one of the
    students here: where distillation gave nothing, it is what ships.
    """
    return _within_budget(_measured(results), results)


def chosen_of(results: Results, model: str) -> Candidate | None:
    """What ships of one student: its first candidate, or for one beyond that budget the fastest within its own best's.

    Nothing where none of its artefacts was measured.
    """
    own = [item for item in _measured(results) if item.measured.model == model]
    found = [item for item in candidates(results) if item.measured.model == model]
    return next(iter(found or _within_budget(own, results)), None)


def _measured(results: Results) -> list[Candidate]:
    batch, found = reference_batch(results), []
    for model in results.models[1:]:
        for run in model.runs:
            latency, ap = run.latency_at(batch), run.accuracy.numbers.ap if run.accuracy else None
            if run.status == "ok" and latency and ap is not None:
                found.append(Candidate(Measured(model.name, run, latency), ap))
    return found


def _within_budget(found: list[Candidate], results: Results) -> list[Candidate]:
    best = max((item.ap for item in found), default=0.0)
    within = [item for item in found if item.ap >= best - results.params.report.max_ap_loss]
    return sorted(within, key=lambda item: item.measured.latency.p50)


def shipping_sentences(results: Results) -> list[str]:
    """What to ship and why, and what the next two would be; nothing where no artefact of a student was measured.

    The time is that of the run in which the artefacts took turns, where this one did; those of other runs are not put
    beside it.
    """
    if not (found := candidates(results)):
        return []
    chosen, *others = found
    loss, numbers = results.params.report.max_ap_loss, f"{formats.points(chosen.ap)} AP, {_speed(results, chosen)}"
    first = f"Ship {chosen.file}{_score(results, chosen)}: {numbers}."
    budget = f"within {formats.points(loss)} AP points of the best"
    reason = f"By their own runs it is the fastest of the students’ artefacts {budget}."
    sentences = [f"{first} {reason}"]
    if others:
        listed = (f"{each.file} ({formats.points(each.ap)} AP, {run_title(each.measured.run)})" for each in others[:2])
        sentences.append(f"The next would be {', '.join(listed)}.")
    return sentences


def _score(results: Results, chosen: Candidate) -> str:
    score = next(model.point.score for model in results.models if model.name == chosen.measured.model)
    return "" if score is None else f" with score threshold {score:.2f}"


def _speed(results: Results, chosen: Candidate) -> str:
    """Its median call, and what part of the teacher's that is where it is the very file that took turns with it."""
    run, beside = chosen.measured.run, compared(results, chosen.measured.model)
    title = run_title(run)
    if beside is None or (beside.artefact, beside.backend) != (run.artefact, run.backend):
        return f"{formats.milliseconds(chosen.measured.latency.p50)} ms ({title})"
    part = formats.percent(1 / beside.times_as_fast)
    return f"{formats.milliseconds(beside.milliseconds)} ms ({title}), {part} of the teacher’s fastest artefact"
