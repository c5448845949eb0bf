"""The artefacts: what each one scores and costs under which backend, and how it was made and checked."""

from collections.abc import Iterator

from pipeline.deploy_records import BackendRun, EngineBuild, EngineRecord, PrecisionArtefact
from pipeline.report import formats
from pipeline.report.accuracy_tables import COCO
from pipeline.report.collect import Results
from pipeline.report.comparison import reference_batch
from pipeline.report.names import precision_title, run_title
from pipeline.report.tables import Row, Table, number, row, text


def ladder_table(results: Results) -> Table:
    """Model × artefact × backend against PyTorch: mAP and its loss, the worst class, boxes one by one, and latency."""
    confidence = formats.percent(results.params.evaluate.confidence)
    columns = (
        text("Model"),
        text("Rung"),
        number("mAP"),
        number("drop"),
        number(f"{confidence} interval"),
        number("p50, ms"),
        text("worst class"),
        number("matched"),
        number("IoU"),
        number("score, ±"),
    )
    rows = []
    for model in results.models:
        if model.benchmark:
            missing = [formats.MISSING] * 7
            rows.append(row(model.name, "PyTorch fp32", formats.points(model.benchmark.torch_ap), *missing))
            rows += [_ladder_row(model.name, run, results) for run in model.benchmark.runs if run.status == "ok"]
    return Table(columns, tuple(rows))


def _ladder_row(model: str, run: BackendRun, results: Results) -> Row:
    interval, worst, boxes = run.map_drop_interval, run.worst_class, run.boxes
    latency = run.latency_at(reference_batch(results))
    return row(
        model,
        run_title(run),
        formats.points(run.accuracy.numbers.ap if run.accuracy else None),
        formats.hundredths(run.map_drop),
        formats.span(interval.low, interval.high, formats.hundredths) if interval else formats.MISSING,
        formats.milliseconds(latency.p50 if latency else None),
        f"{worst.name}: {formats.hundredths(worst.drop)}" if worst else formats.MISSING,
        formats.exact_percent(boxes.matched if boxes else None),
        formats.small(boxes.mean_iou if boxes else None),
        formats.small(boxes.mean_score_difference if boxes else None),
    )


def rung_table(results: Results) -> Table:
    """COCO's 12 numbers of every rung, in points."""
    columns = (text("Model"), text("Rung"), *(number(title) for title, _ in COCO.values()))
    rows = tuple(
        row(name, run_title(run), *(formats.points(getattr(run.accuracy.numbers, field)) for field in COCO))
        for name, run in _runs(results)
        if run.accuracy
    )
    return Table(columns, rows)


def cost_table(results: Results) -> Table:
    """Model × artefact × backend that ran: what the file weighs, and what loading and running it costs."""
    columns = (
        text("Model"),
        text("Rung"),
        number("file, MB"),
        text("computes in"),
        number("threads"),
        number("load, ms"),
        number("memory, MB"),
        text("version"),
    )
    rows = tuple(
        _cost_row(model.name, run, {item.precision: item.file_size for item in model.benchmark.artefacts})
        for model in results.models
        if model.benchmark
        for run in model.benchmark.runs
        if run.status == "ok"
    )
    return Table(columns, rows)


def not_run_table(results: Results) -> Table:
    """Backends that did not run here and why, each reason once with the models that it holds for."""
    models: dict[tuple[str, str], list[str]] = {}
    for model in results.models:
        for run in model.benchmark.runs if model.benchmark else []:
            if run.status != "ok":
                models.setdefault((run_title(run), run.reason), []).append(model.name)
    columns = (text("Backend"), text("not run for"), text("why"))
    return Table(columns, tuple(row(title, ", ".join(names), why) for (title, why), names in models.items()))


def _cost_row(model: str, run: BackendRun, sizes: dict[str, int]) -> Row:
    return row(
        model,
        run_title(run),
        formats.megabytes(sizes.get(run.artefact)),
        precision_title(run.precision),
        formats.count(run.threads),
        formats.milliseconds(run.load_ms),
        formats.megabytes(run.peak_memory_bytes),
        run.version,
    )


def precision_table(results: Results) -> Table:
    """How each precision was made: calibration, layers quantised and kept, and what that cost on the val split."""
    columns = (
        text("Model"),
        text("Precision"),
        number("MB"),
        number("calibration images"),
        number("int8 layers"),
        number("AP lost on val, all int8"),
        number("AP lost on val"),
        text("kept in fp32"),
    )
    rows = tuple(
        _precision_row(model.name, item, model.precision.calibration.images)
        for model in results.models
        if model.precision
        for item in model.precision.artefacts
    )
    return Table(columns, rows)


def _precision_row(model: str, item: PrecisionArtefact, calibration_images: int) -> Row:
    start = (model, precision_title(item.precision), formats.megabytes(item.file_size))
    search = item.search
    if search is None:
        return row(*start, *[formats.MISSING] * 5)
    return row(
        *start,
        formats.count(calibration_images),
        f"{search.layers - len(search.kept)} of {search.layers}",
        formats.hundredths(_lost(search.fp32_ap, search.quantised_ap)),
        formats.hundredths(_lost(search.fp32_ap, search.ap)),
        ", ".join(kept.layer.removesuffix(".weight") for kept in search.kept) or "no layer",
    )


def _lost(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else before - after


def engine_table(results: Results) -> Table:
    """The TensorRT engines that were built: for which GPU, and for which batch sizes."""
    columns = (
        text("Model"),
        text("Precision"),
        text("Engine"),
        number("MB"),
        number("build time"),
        text("batch sizes (tuned for)"),
        text("for"),
    )
    rows = tuple(
        _engine_row(model.name, build, model.engine)
        for model in results.models
        if model.engine
        for build in model.engine.engines
        if build.status == "built"
    )
    return Table(columns, rows)


def _engine_row(model: str, build: EngineBuild, record: EngineRecord) -> Row:
    target = record.target
    return row(
        model,
        precision_title(build.precision),
        build.file or formats.MISSING,
        formats.megabytes(build.file_size),
        formats.duration(build.build_seconds),
        ", ".join(f"{least} to {most} ({best})" for least, best, most in record.profiles),
        f"{target.gpu}, {target.tensorrt}" if target else formats.MISSING,
    )


def unbuilt_table(results: Results) -> Table:
    """Why there is no engine, each reason once with the models and precisions that it holds for."""
    models: dict[str, dict[str, None]] = {}
    precisions: dict[str, dict[str, None]] = {}
    for model in results.models:
        for build in model.engine.engines if model.engine else []:
            if build.status != "built":
                models.setdefault(build.reason, {})[model.name] = None
                precisions.setdefault(build.reason, {})[precision_title(build.precision)] = None
    rows = tuple(row(", ".join(names), ", ".join(precisions[reason]), reason) for reason, names in models.items())
    return Table((text("not built for"), text("Precisions"), text("why")), rows)


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
