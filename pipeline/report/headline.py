"""The result in plain words: what the student is worth, said no more strongly than the numbers allow."""

from dataclasses import dataclass

from pipeline.deploy_records import ComparedModel
from pipeline.report import formats
from pipeline.report.choices import measured_sentence
from pipeline.report.collect import ModelResults, Results
from pipeline.report.comparison import Gain, Measured, compared, fastest, gain, ratio, reference_batch, share
from pipeline.report.names import run_title, rung_title


@dataclass(frozen=True)
class Figure:
    """One headline number: its label, the number itself and a line that puts it in context."""

    label: str
    value: str
    context: str


def headline(results: Results) -> list[str]:
    """Plain sentences with the run's numbers, the most important first."""
    sentences = [_accuracy_sentence(results), *_gain_sentences(results), _size_sentence(results)]
    if speed := _speed_sentence(results):
        sentences.append(speed)
    if also_chose := measured_sentence(results):
        sentences.append(also_chose)
    if results.dataset.composed:
        sentences.append(
            "The data set is composed: real parts were put together by a program. Its numbers compare models with each "
            "other; they do not predict accuracy on photographs."
        )
    return sentences


def key_figures(results: Results) -> list[Figure]:
    """The numbers of the headline as labelled figures."""
    main, teacher, baseline = results.main, results.teacher, results.baseline
    figures = [_ap_figure(teacher, "")]
    if baseline and baseline is not main:
        figures.append(_ap_figure(baseline, "no distillation"))
    figures.append(_ap_figure(main, f"{formats.percent(share(main, teacher))} of the teacher’s AP"))
    if difference := gain(main, baseline):
        label = f"gain over {baseline.name if baseline else ''}"
        figures.append(Figure(label, formats.signed_points(difference.points), _interval_text(difference)))
    of_teacher, of_student = teacher.evaluation.complexity, main.evaluation.complexity
    parameters = _compared(ratio(of_teacher.parameters, of_student.parameters), "fewer parameters", "more parameters")
    figures.append(_ratio_figure(ratio(of_teacher.flops, of_student.flops), "fewer FLOPs", "more FLOPs", parameters))
    student, reference = compared(results, main.name), compared(results, teacher.name)
    if student and reference:
        context = f"{_ms(student)} against {_ms(reference)}"
        figures.append(_ratio_figure(student.times_as_fast, "faster artefact", "slower artefact", context))
    return figures


def _ap_figure(model: ModelResults, context: str) -> Figure:
    bootstrap = model.evaluation.accuracy.bootstrap
    interval = formats.span(bootstrap.interval.low, bootstrap.interval.high) if bootstrap else ""
    return Figure(f"{model.name} AP", formats.points(model.ap), ", ".join(part for part in (interval, context) if part))


def _ratio_figure(value: float | None, more: str, less: str, context: str) -> Figure:
    number, label = _compared(value, more, less).split(" ", 1)
    return Figure(label, number, context)


def _accuracy_sentence(results: Results) -> str:
    main, teacher, baseline = results.main, results.teacher, results.baseline
    text = f"{main.name} reaches {formats.points(main.ap)} AP on the {results.split_name} split"
    if len(results.students) > 1:
        text += f", the highest of {len(results.students)} students"
    if baseline and baseline is not main:
        text += (
            f"; {baseline.name}, the same student trained without distillation, reaches {formats.points(baseline.ap)}"
        )
    return f"{text}; the teacher reaches {formats.points(teacher.ap)}."


def _gain_sentences(results: Results) -> list[str]:
    baseline = results.baseline
    if baseline is None:
        name = results.params.report.baseline
        return [f"No baseline called {name} was trained, so what distillation adds cannot be stated."]
    if not results.students:
        return ["No distilled student was trained beside the baseline, so what distillation adds cannot be stated."]
    sentences = []
    for model in sorted(results.students, key=lambda model: model is not results.main):
        difference = gain(model, baseline)
        if difference is None:
            sentences.append(f"The gain of {model.name} over {baseline.name} is unknown: one of the two has no AP.")
        else:
            sentences.append(gain_sentence(model.name, baseline.name, difference))
    if any(difference for model in results.students if (difference := gain(model, baseline)) and difference.confidence):
        sentences.append(f"An interval covers the choice of {results.split_name} images, not the training seed.")
    return sentences


def gain_sentence(student: str, baseline: str, difference: Gain) -> str:
    """Say what the gain shows; an interval that includes 0 shows nothing, whatever its middle."""
    points = formats.signed_points(difference.points)
    claim = f"{student} against {baseline}: {points} AP points"
    if difference.verdict == "unknown":
        return f"{claim}, without an interval; whether the difference is more than chance is unknown."
    claim = f"{claim} ({_interval_text(difference)})."
    if difference.verdict == "better":
        return f"{claim} The interval excludes 0: the distilled student is the better detector here."
    if difference.verdict == "worse":
        return f"{claim} The interval excludes 0: the distilled student is the worse detector here."
    return f"{claim} The interval includes 0: this run does not show a difference."


def _interval_text(difference: Gain) -> str:
    if difference.confidence is None:
        return "no interval"
    bounds = formats.span(difference.low, difference.high, formats.signed_points)
    return f"{formats.percent(difference.confidence)} interval {bounds}"


def _size_sentence(results: Results) -> str:
    main, teacher = results.main, results.teacher
    of_student, of_teacher = main.evaluation.complexity, teacher.evaluation.complexity
    kept = share(main, teacher)
    start = f"{main.name} keeps {formats.percent(kept)} of the teacher’s AP" if kept is not None else main.name
    flops = _compared(ratio(of_teacher.flops, of_student.flops), "fewer FLOPs", "more FLOPs")
    parameters = _compared(ratio(of_teacher.parameters, of_student.parameters), "fewer parameters", "more parameters")
    sizes = (
        f"{formats.giga(of_student.flops)} G against {formats.giga(of_teacher.flops)} G; "
        f"{formats.millions(of_student.parameters)} M against {formats.millions(of_teacher.parameters)} M"
    )
    return f"{start} with {flops} and {parameters} ({sizes})."


def _speed_sentence(results: Results) -> str:
    student, teacher = compared(results, results.main.name), compared(results, results.teacher.name)
    if student is None or teacher is None:
        alone = fastest(results.main.benchmark, reference_batch(results))
        return f"{_alone_sentence(alone)}; there is no artefact of the teacher to compare with." if alone else ""
    speed = _compared(student.times_as_fast, "faster", "slower")
    student_rung, teacher_rung = (rung_title(each.backend, each.precision) for each in (student, teacher))
    is_clear = not student.low < 1 < student.high
    unclear = "" if is_clear else " The spread includes 1: this run does not show which is faster."
    ends = (student.low, student.high) if student.times_as_fast >= 1 else (1 / student.high, 1 / student.low)
    return (
        f"Its fastest artefact is {speed} than the teacher’s (quartiles over {results.comparison.rounds} rounds of "
        f"taking turns: {formats.span(*ends, formats.times)}): {_ms(student)} at the median (batch "
        f"{results.comparison.batch_size}, {student_rung}) against {_ms(teacher)} "
        f"({'same backend' if teacher_rung == student_rung else teacher_rung}).{unclear}"
    )


def _alone_sentence(measured: Measured) -> str:
    latency = measured.latency
    return (
        f"Its fastest artefact takes {formats.milliseconds(latency.p50)}\u00a0ms at the median (batch "
        f"{latency.batch_size}, {run_title(measured.run)})"
    )


def _ms(each: ComparedModel) -> str:
    return f"{formats.milliseconds(each.milliseconds)}\u00a0ms"


def _compared(value: float | None, more: str, less: str) -> str:
    """``2.7× fewer FLOPs``; below 1 the other way round, so that the number never hides a loss."""
    if not value:
        return f"{formats.MISSING} {more}"
    return f"{formats.times(value)} {more}" if value >= 1 else f"{formats.times(1 / value)} {less}"
