"""The artefacts: what each one scores and costs under which backend, and how it was made and checked."""

from pipeline.deploy_records import BenchmarkRecord, EngineRecord, PrecisionArtefact
from pipeline.records import Interval
from pipeline.report import formats
from pipeline.report.accuracy_tables import COCO
from pipeline.report.beside import milliseconds
from pipeline.report.choices import search_splits
from pipeline.report.collect import Results, Rung
from pipeline.report.comparison import difference
from pipeline.report.names import precision_title, run_title
from pipeline.report.tables import Row, Table, listing, number, row, text


def ladder_table(results: Results) -> Table:
    """Model × artefact × backend against PyTorch: mAP and its loss, the worst class, boxes one by one, and latency."""
    confidence = formats.percent(results.params.evaluate.confidence)
    columns = (
        text("Model"),
        text("Rung"),
        number("mAP"),
        *([number("its interval")] if results.are_artefacts_on_part else []),
        number("drop"),
        number(f"{confidence} interval"),
        number("ms"),
        text("worst class"),
        number("matched"),
        number("IoU"),
        number("score, ±"),
    )
    rows = []
    for model in results.models:
        if model.benchmark:
            rows.append(_torch_row(model.benchmark, len(columns), results.are_artefacts_on_part))
            rows += [_ladder_row(rung, results) for rung in results.rungs if rung.model == model.name]
    return Table(columns, tuple(rows))


def part_note(results: Results) -> str:
    """Which images the numbers of the artefacts are of, where that is a part of the split; else nothing."""
    if not results.are_artefacts_on_part:
        return ""
    images = f"{formats.count(results.artefact_images)} of the {formats.count(results.split.images)}"
    return (
        f"Artefacts were run on {images} images of the split, evenly spaced, and PyTorch’s mAP beside them is that of "
        "the same images: it differs from the one of the whole split above, and their intervals are wider."
    )


def _torch_row(benchmark: BenchmarkRecord, columns: int, part: bool) -> Row:
    cells = [benchmark.model, "PyTorch fp32", formats.points(benchmark.torch_ap)]
    cells += [_ap_interval(benchmark.torch_interval)] if part else []
    return row(*cells, *[formats.MISSING] * (columns - len(cells)))


def _ap_interval(interval: Interval | None) -> str:
    return formats.span(interval.low, interval.high) if interval else formats.MISSING


def _ladder_row(rung: Rung, results: Results) -> Row:
    model, run = rung
    interval, worst, boxes = run.map_drop_interval, run.worst_class, run.boxes
    bootstrap = run.accuracy.bootstrap if run.accuracy else None
    return row(
        model,
        run_title(run),
        formats.points(run.accuracy.numbers.ap if run.accuracy else None),
        *([_ap_interval(bootstrap.interval if bootstrap else None)] if results.are_artefacts_on_part else []),
        formats.hundredths(run.map_drop),
        formats.span(interval.low, interval.high, formats.hundredths) if interval else formats.MISSING,
        milliseconds(results, rung),
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
        for name, run in results.rungs
        if run.accuracy
    )
    return Table(columns, rows)


def not_run_table(results: Results) -> Table:
    """Backends that did not run here and why, each reason once with the models that it holds for."""
    models: dict[tuple[str, str], list[str]] = {}
    for model in results.models:
        for run in model.runs:
            if run.status != "ok":
                models.setdefault((run_title(run), run.reason), []).append(model.name)
    columns = (text("Backend"), text("not run for"), text("why"))
    return Table(columns, tuple(row(title, ", ".join(names), why) for (title, why), names in models.items()))


def precision_table(results: Results) -> Table:
    """How each precision was made: calibration, layers quantised and kept, and what that cost where it was chosen."""
    searched = " and ".join(search_splits(results)) or "val"
    columns = (
        text("Model"),
        text("Precision"),
        number("MB"),
        number("calibration images"),
        number("int8 layers"),
        number(f"AP lost on {searched}, all int8"),
        number(f"AP lost on {searched}"),
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
        formats.hundredths(difference(search.fp32_ap, search.quantised_ap)),
        formats.hundredths(difference(search.fp32_ap, search.ap)),
        ", ".join(kept.layer.removesuffix(".weight") for kept in search.kept) or "no layer",
    )


def engine_table(results: Results) -> Table:
    """The TensorRT engines that were built: for which GPU, and for which batch sizes."""
    built = [
        (build, model.engine)
        for model in results.models
        if model.engine
        for build in model.engine.engines
        if build.status == "built"
    ]
    return listing(
        built,
        {
            text("Model"): lambda item: item[1].model,
            text("Precision"): lambda item: precision_title(item[0].precision),
            text("Engine"): lambda item: item[0].file or formats.MISSING,
            number("MB"): lambda item: formats.megabytes(item[0].file_size),
            number("build time"): lambda item: formats.duration(item[0].build_seconds),
            text("batch sizes (tuned for)"): lambda item: ", ".join(
                f"{least} to {most} ({best})" for least, best, most in item[1].profiles
            ),
            text("for"): lambda item: _target(item[1]),
        },
    )


def _target(record: EngineRecord) -> str:
    return f"{record.target.gpu}, {record.target.tensorrt}" if record.target else formats.MISSING


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
    return listing(
        [model.export for model in results.models if model.export],
        {
            text("Model"): lambda export: export.model,
            text("File"): lambda export: export.file,
            number("MB"): lambda export: formats.megabytes(export.file_size),
            number("opset"): lambda export: formats.count(export.opset),
            number("images"): lambda export: formats.count(export.check.images),
            number("detections"): lambda export: formats.count(export.check.detections),
            number("matched"): lambda export: formats.exact_percent(export.check.matched),
            number("box difference, px"): lambda export: formats.small(export.check.max_box_difference_px),
            number("score difference"): lambda export: formats.small(export.check.max_score_difference),
        },
    )
