"""The artefacts: what each one scores, how fast it is under which backend, and how exactly it equals PyTorch."""

from collections.abc import Iterator

from pipeline.records import BackendRun
from pipeline.report import formats
from pipeline.report.collect import Results
from pipeline.report.names import run_title
from pipeline.report.tables import Row, Table, number, row, text


def artefact_table(results: Results) -> Table:
    """Model × backend: mAP of the artefact, its drop against PyTorch, and what loading it costs."""
    columns = (
        text("Model"),
        text("Backend"),
        number("mAP"),
        number("drop"),
        number("threads"),
        number("load, ms"),
        number("memory, MB"),
        text("version, or why not run"),
    )
    return Table(columns, tuple(_artefact_row(name, run) for name, run in _runs(results)))


def _artefact_row(model: str, run: BackendRun) -> Row:
    if run.status != "ok":
        missing = [formats.MISSING] * 5
        return row(model, run_title(run), *missing, f"not run: {run.reason}")
    return row(
        model,
        run_title(run),
        formats.points(run.accuracy.numbers.ap if run.accuracy else None),
        formats.hundredths(run.map_drop),
        formats.count(run.threads),
        formats.milliseconds(run.load_ms),
        formats.megabytes(run.peak_memory_bytes),
        run.version,
    )


def latency_table(results: Results) -> Table:
    """Model × backend × batch size: percentiles of one call, where its time goes, and throughput."""
    columns = (
        text("Model"),
        text("Backend"),
        number("batch"),
        number("p50"),
        number("p90"),
        number("p99"),
        number("pre"),
        number("inference"),
        number("post"),
        number("images/s"),
    )
    rows = []
    for model, run in _runs(results):
        for item in run.latency if run.status == "ok" else []:
            split = (item.p50, item.p90, item.p99, item.preprocessing, item.inference, item.postprocessing)
            times = (formats.milliseconds(value) for value in split)
            batch = formats.count(item.batch_size)
            rows.append(row(model, run_title(run), batch, *times, formats.rate(item.images_per_second)))
    return Table(columns, tuple(rows))


def export_table(results: Results) -> Table:
    """The exported graph against PyTorch on real images."""
    columns = (
        text("Model"),
        text("File"),
        number("MB"),
        number("opset"),
        number("images"),
        number("detections"),
        number("matched"),
        number("box difference, px"),
        number("score difference"),
    )
    rows = tuple(
        row(
            model.name,
            model.export.file,
            formats.megabytes(model.export.file_size),
            formats.count(model.export.opset),
            formats.count(model.export.check.images),
            formats.count(model.export.check.detections),
            formats.exact_percent(model.export.check.matched),
            formats.small(model.export.check.max_box_difference_px),
            formats.small(model.export.check.max_score_difference),
        )
        for model in results.models
        if model.export
    )
    return Table(columns, rows)


def _runs(results: Results) -> Iterator[tuple[str, BackendRun]]:
    for model in results.models:
        if model.benchmark:
            for run in model.benchmark.runs:
                yield model.name, run
