"""The result in plain words: what the student is worth, said no more strongly than the numbers allow."""

from dataclasses import dataclass

from pipeline.report import formats
from pipeline.report.beside import Beside, fastest_beside, reference
from pipeline.report.choices import measured_sentence
from pipeline.report.collect import ModelResults, Results
from pipeline.report.comparison import Gain, gain, ratio, share


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
    student, of_teacher_artefact = fastest_beside(results, main.name), reference(results)
    if student and of_teacher_artefact:
        context = f"{_ms(student)} against {_ms(of_teacher_artefact)}; its own AP {formats.points(student.ap)}"
        figures.append(_ratio_figure(student.turns.times_as_fast, "faster artefact", "slower artefact", context))
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
    parameters = _compared(ratio(of_teacher.parameters, of_student.parameters), "fewer parameters", "more parameters")
    sizes = f"{formats.millions(of_student.parameters)} M against {formats.millions(of_teacher.parameters)} M"
    if of_student.flops is None or of_teacher.flops is None:
        return f"{start} with {parameters} ({sizes}); the FLOPs of one of the two are not known."
    flops = _compared(ratio(of_teacher.flops, of_student.flops), "fewer FLOPs", "more FLOPs")
    operations = f"{formats.giga(of_student.flops)} G against {formats.giga(of_teacher.flops)} G"
    return f"{start} with {flops} and {parameters} ({operations}; {sizes})."


def _speed_sentence(results: Results) -> str:
    student, teacher, batch = (
        fastest_beside(results, results.main.name),
        reference(results),
        results.comparison.batch_size,
    )
    if student is None:
        return ""
    if teacher is None:
        alone = f"Its fastest artefact ({_rung(student)}) takes {_ms(student)} at the median, batch {batch}"
        return f"{alone}; there is no artefact of the teacher to compare with."
    turns, rounds = student.turns, results.comparison.groups[student.turns.group].rounds
    is_clear = not turns.low < 1 < turns.high
    unclear = "" if is_clear else " The spread includes 1: this run does not show which is faster."
    ends = (turns.low, turns.high) if turns.times_as_fast >= 1 else (1 / turns.high, 1 / turns.low)
    return (
        f"Its fastest artefact ({_rung(student)}) is {_compared(turns.times_as_fast, 'faster', 'slower')} than the "
        f"teacher’s ({_rung(teacher)}): {_ms(student)} against {_ms(teacher)} at the median, batch {batch}, taking "
        f"turns (quartiles over {rounds} rounds {formats.span(*ends, formats.times)}).{unclear}"
    )


def _rung(found: Beside) -> str:
    return f"{found.title}, {formats.points(found.ap)} AP"


def _ms(found: Beside) -> str:
    return f"{formats.milliseconds(found.turns.milliseconds)}\u00a0ms"


def _compared(value: float | None, more: str, less: str) -> str:
    """``2.7× fewer FLOPs``; below 1 the other way round, so that the number never hides a loss."""
    if not value:
        return f"{formats.MISSING} {more}"
    return f"{formats.times(value)} {more}" if value >= 1 else f"{formats.times(1 / value)} {less}"
