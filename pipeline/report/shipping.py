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

    @property
    def milliseconds(self) -> float:
        """The median call at the smallest batch size."""
        return self.measured.latency.p50


def candidates(results: Results) -> list[Candidate]:
    """Rungs of students whose AP is within ``report.max_ap_loss`` points of the best rung's; the fastest first.

    The twin is one of the students here: where distillation gave nothing, it is what ships.
    """
    batch, found = reference_batch(results), []
    for model in results.models[1:]:
        for run in model.runs:
            latency, ap = run.latency_at(batch), run.accuracy.numbers.ap if run.accuracy else None
            if run.status == "ok" and latency and ap is not None:
                found.append(Candidate(Measured(model.name, run, latency), ap))
    best = max((item.ap for item in found), default=0.0)
    within = [item for item in found if item.ap >= best - results.params.report.max_ap_loss]
    return sorted(within, key=lambda item: item.milliseconds)


def shipping_sentences(results: Results) -> list[str]:
    """What to ship and why, and what the next two would be; nothing where no artefact of a student was measured."""
    if not (found := candidates(results)):
        return []
    chosen, *others = found
    loss = formats.points(results.params.report.max_ap_loss)
    text = (
        f"Ship {chosen.file}{_score(results, chosen)}: {formats.points(chosen.ap)} AP, {_speed(chosen)}, "
        f"the fastest of the students’ artefacts within {loss} AP points of the best."
    )
    sentences = [text + _beside_the_teacher(results, chosen)]
    if others:
        listed = "; ".join(f"{item.file} ({formats.points(item.ap)} AP, {_speed(item)})" for item in others[:2])
        sentences.append(f"The next would be {listed}.")
    return sentences


def _score(results: Results, chosen: Candidate) -> str:
    score = next(model.point.score for model in results.models if model.name == chosen.measured.model)
    return "" if score is None else f" with score threshold {score:.2f}"


def _speed(candidate: Candidate) -> str:
    return f"{formats.milliseconds(candidate.milliseconds)} ms ({run_title(candidate.measured.run)})"


def _beside_the_teacher(results: Results, chosen: Candidate) -> str:
    """How it stands to the teacher's, where it is the very file that took turns with it."""
    beside, run = compared(results, chosen.measured.model), chosen.measured.run
    if beside is None or (beside.artefact, beside.backend) != (run.artefact, run.backend):
        return ""
    part = formats.percent(1 / beside.times_as_fast)
    return f" Taking turns with the teacher’s fastest artefact, it takes {part} of its time."
