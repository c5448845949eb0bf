"""The table that the report is about: teacher, twin and students side by side."""

from collections.abc import Callable

from pipeline.report import formats
from pipeline.report.beside import Beside, fastest_beside, milliseconds, reference, speed
from pipeline.report.collect import ModelResults, Results, Rung
from pipeline.report.comparison import gain, ratio, reference_batch, share
from pipeline.report.names import run_title
from pipeline.report.tables import Row, Table, heading, number, row, text

NOT_RUN = "not run"

Describe = Callable[[ModelResults], str]


def overview_table(results: Results) -> Table:
    """One column a model, one row a number: accuracy, size, speed of the artefact."""
    columns = (text(""), *(number(model.name, emphasis=model is results.main) for model in results.models))
    rows = (*_accuracy_rows(results), *_size_rows(results), *_latency_rows(results))
    return Table(columns, rows)


def _row(results: Results, title: str, describe: Describe) -> Row:
    return row(title, *(describe(model) for model in results.models))


def _accuracy_rows(results: Results) -> list[Row]:
    accuracy = results.teacher.evaluation.accuracy
    confidence = formats.percent(results.params.evaluate.confidence)
    baseline = results.params.report.baseline
    rows = [
        heading(f"Accuracy: {results.split_name} split, {formats.count(accuracy.images)} images, COCO points"),
        _row(results, "AP", lambda model: formats.points(model.ap)),
        _row(results, f"AP, {confidence} interval", _interval),
        _row(results, "AP50", lambda model: formats.points(model.evaluation.accuracy.numbers.ap50)),
        _row(results, "AP75", lambda model: formats.points(model.evaluation.accuracy.numbers.ap75)),
        _row(results, f"Gain over {baseline}", lambda model: _gain(model, results)),
        _row(results, f"Gain, {confidence} paired interval", lambda model: _gain_interval(model, results)),
        _row(results, "Share of the teacher’s AP", lambda model: formats.percent(share(model, results.teacher))),
    ]
    if any(model.evaluation.published_ap is not None for model in results.models):
        rows.insert(3, _row(results, "AP as published", lambda model: formats.points(model.evaluation.published_ap)))
    return rows


def _interval(model: ModelResults) -> str:
    bootstrap = model.evaluation.accuracy.bootstrap
    return formats.span(bootstrap.interval.low, bootstrap.interval.high) if bootstrap else formats.MISSING


def _gain(model: ModelResults, results: Results) -> str:
    difference = gain(model, results.baseline)
    return formats.signed_points(difference.points if difference else None)


def _gain_interval(model: ModelResults, results: Results) -> str:
    difference = gain(model, results.baseline)
    return formats.span(difference.low, difference.high, formats.signed_points) if difference else formats.MISSING


def _size_rows(results: Results) -> list[Row]:
    height, width = results.teacher.evaluation.complexity.input_size
    return [
        heading("Size"),
        _row(results, "Parameters, M", lambda model: formats.millions(model.evaluation.complexity.parameters)),
        _row(
            results,
            f"FLOPs, G ({width} × {height} px)",
            lambda model: formats.giga(model.evaluation.complexity.flops),
        ),
        _row(results, "FLOPs, times fewer than the teacher", lambda model: _fewer_flops(model, results.teacher)),
        _row(
            results,
            "Artefact, MB",
            lambda model: formats.megabytes(model.export.file_size if model.export else None),
        ),
    ]


def _fewer_flops(model: ModelResults, teacher: ModelResults) -> str:
    if model is teacher:
        return formats.MISSING
    return formats.times(ratio(teacher.evaluation.complexity.flops, model.evaluation.complexity.flops))


def _latency_rows(results: Results) -> list[Row]:
    def latency(model: ModelResults, title: str, backend: str) -> str:
        found = next((run for run in model.runs if run_title(run) == title), None)
        if found is None or found.status != "ok":
            is_unable = any(run.backend == backend and run.status != "ok" for run in model.runs)
            return NOT_RUN if is_unable else formats.MISSING
        return milliseconds(results, Rung(model.name, found))

    def of_fastest(model: ModelResults, describe: Callable[[Beside], str]) -> str:
        found = fastest_beside(results, model.name)
        return describe(found) if found else formats.MISSING

    def speed_up(model: ModelResults) -> str:
        is_compared = model is not results.teacher and reference(results)
        return of_fastest(model, speed) if is_compared else formats.MISSING

    batch = f"batch {reference_batch(results)}"
    return [
        heading(f"Latency of the artefact: decoded image to detections, {batch}, median ms, all taking turns"),
        *(
            row(title, *(latency(model, title, backend) for model in results.models))
            for title, backend in _backends(results).items()
        ),
        _row(results, "Fastest", lambda model: of_fastest(model, lambda found: found.title)),
        _row(results, "mAP of the fastest", lambda model: of_fastest(model, lambda found: formats.points(found.ap))),
        _row(results, "Times as fast as the teacher’s (quartiles)", speed_up),
    ]


def _backends(results: Results) -> dict[str, str]:
    """Titles of the runs and their backends; one that ran nowhere is listed once, without a precision."""
    runs = [run for model in results.models for run in model.runs]
    ran = {run.backend for run in runs if run.status == "ok"}
    return {run_title(run): run.backend for run in runs if run.status == "ok" or run.backend not in ran}
