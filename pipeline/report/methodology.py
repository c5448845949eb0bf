"""How the numbers came about: machine, data, budget, definitions, limits, identities."""

from collections.abc import Iterator

from pipeline.report import formats
from pipeline.report.beside import all_beside
from pipeline.report.choices import weights_note
from pipeline.report.collect import ModelResults, Results
from pipeline.report.comparison import fastest, reference_batch
from pipeline.report.names import backend_title, precision_title, run_title
from pipeline.report.tables import Row, Table, number, row, text
from pipeline.report.trainings import early_stopping_definition, length_of, pseudo_label_definition
from pipeline.shipping_records import ChoosingRung
from pipeline.training_records import SeenImages, TrainingRecord


def machine_table(results: Results) -> Table:
    """What the benchmarks and the training ran on."""
    device = results.device
    gpu = f"{device.gpu}, {formats.gigabytes(device.gpu_memory_bytes)}" if device.gpu else "none"
    rows = [
        row("Processor", f"{device.cpu}, {device.cores} cores, {device.architecture}"),
        row("Instruction sets", ", ".join(device.instruction_sets) or formats.MISSING),
        row("Memory", formats.gigabytes(device.memory_bytes)),
        row("GPU", gpu if device.driver is None else f"{gpu}, driver {device.driver}"),
        row("System", f"{device.operating_system}, Python {device.python}"),
        row("Libraries", ", ".join(f"{name} {version}" for name, version in sorted(device.libraries.items()))),
    ]
    return Table((text("What"), text("Which")), tuple(rows))


def split_table(results: Results) -> Table:
    """Images and boxes of every split, and the pictures whose boxes are not known."""
    columns = (text("Split"), number("images"), number("boxes"), number("crowd boxes"), number("images without boxes"))
    rows = tuple(
        row(
            name,
            *map(formats.count, (split.images, split.boxes, split.crowd_boxes, split.images_without_boxes)),
        )
        for name, split in results.dataset.splits.items()
    )
    if unlabelled := results.dataset.unlabelled:
        rows += (row("no split: pictures without boxes", formats.count(unlabelled.images), *[formats.MISSING] * 3),)
    return Table(columns, rows)


def class_split_table(results: Results) -> Table:
    """Boxes of every class in every split: which classes the numbers rest on."""
    splits = results.dataset.splits
    columns = (text("Class"), *(number(name) for name in splits))
    rows = tuple(
        row(name, *(formats.count(split.boxes_per_class.get(name, 0)) for split in splits.values()))
        for name in results.dataset.classes
    )
    return Table(columns, rows)


def budget_table(results: Results) -> Table:
    """What every model was trained with; a fetched teacher was not trained here, so that nothing is known."""
    columns = (
        text("Model"),
        number("iterations"),
        number("batch"),
        number("time"),
        number("images/s"),
        text("precision"),
        text("device"),
        number("kept at"),
        number("val AP"),
        number("memory, MB"),
        number("resumed"),
        text("images"),
    )
    return Table(columns, tuple(_budget_row(model) for model in results.models))


def _budget_row(model: ModelResults) -> Row:
    training: TrainingRecord | None = model.training
    if training is None:
        return row(model.name, "fetched", *[formats.MISSING] * 10)
    return row(
        model.name,
        length_of(training),
        formats.count(training.batch_size),
        formats.duration(training.seconds),
        formats.rate(training.images_per_second),
        training.precision,
        training.device,
        formats.count(training.best_iteration),
        formats.points(training.best_val_ap),
        formats.megabytes(training.peak_memory_bytes),
        formats.count(training.resumed),
        _seen(training.images),
    )


def _seen(images: SeenImages | None) -> str:
    if images is None:
        return formats.MISSING
    if not images.left_out:
        return formats.count(images.seen)
    left_out = ", ".join(f"{formats.count(count)} by {option}" for option, count in images.left_out.items())
    return f"{formats.count(images.seen)} of {formats.count(images.images)}; left out: {left_out}"


def identity_table(results: Results) -> Table:
    """Which recipe, weights and artefact the numbers belong to; hashes are SHA-256, shortened."""
    columns = (text("Model"), text("recipe"), text("method"), text("weights"), text("artefact"))
    rows = tuple(
        row(
            model.name,
            model.evaluation.recipe,
            model.evaluation.method,
            formats.short_hash(model.evaluation.weights_sha256),
            formats.short_hash(model.export.sha256) if model.export else formats.MISSING,
        )
        for model in results.models
    )
    return Table(columns, rows)


def gate_table(results: Results) -> Table:
    """Every gate with its limit and the measured value that came closest to it."""
    rows = []
    for title, limit, is_minimum, measured in _gates(results):
        values = [(value, name) for value, name in measured if value is not None]
        worst = (min if is_minimum else max)(values, default=None)
        shown = f"{formats.small(worst[0])} ({worst[1]})" if worst else formats.MISSING
        bound = "off" if limit is None else f"{'≥' if is_minimum else '≤'} {formats.small(limit)}"
        rows.append(row(title, bound, shown))
    return Table((text("Gate"), number("limit"), number("closest")), tuple(rows))


Measurements = list[tuple[float | None, str]]


def _gates(results: Results) -> Iterator[tuple[str, float | None, bool, Measurements]]:
    gates = results.params.gates
    checks = [(model.export.check, model.name) for model in results.models if model.export]
    runs = [
        (run, f"{model.name}, {run_title(run)}")
        for model in results.models
        if model.benchmark
        for run in model.benchmark.runs
        if run.status == "ok"
    ]
    batch = reference_batch(results)
    yield "teacher AP", gates.teacher_min_ap, True, [(results.teacher.ap, results.teacher.name)]
    yield "student AP", gates.student_min_ap, True, [(model.ap, model.name) for model in results.models[1:]]
    box_differences: Measurements = [(check.max_box_difference_px, name) for check, name in checks]
    yield "export: largest box difference, px", gates.export_max_box_difference_px, False, box_differences
    score_differences: Measurements = [(check.max_score_difference, name) for check, name in checks]
    yield "export: largest score difference", gates.export_max_score_difference, False, score_differences
    matched: Measurements = [(check.matched, name) for check, name in checks]
    yield "export: share of matched detections", gates.export_min_matched, True, matched
    for rung in dict.fromkeys(run.rung for run, _ in runs):
        drops: Measurements = [(run.map_drop, name) for run, name in runs if run.rung == rung]
        yield f"benchmark: mAP drop of {precision_title(rung)}, points", gates.map_drop_limit(rung), False, drops
    fastest_runs = [(found, model.name) for model in results.models if (found := fastest(model.benchmark, batch))]
    latencies: Measurements = [(item.latency.p50, f"{name}, {run_title(item.run)}") for item, name in fastest_runs]
    yield (
        f"benchmark: p50 of the fastest rung in its own run, batch {batch}, ms",
        gates.benchmark_max_latency_ms,
        False,
        latencies,
    )


def definitions(results: Results) -> dict[str, str]:
    """What the words of the report mean and how the numbers are computed."""
    return {
        **_accuracy_definitions(results),
        **_shipping_definition(results),
        **early_stopping_definition(results),
        **pseudo_label_definition(results),
        **_latency_definitions(results),
        **_ladder_definitions(results),
    }


def _accuracy_definitions(results: Results) -> dict[str, str]:
    params, evaluate = results.params, results.params.evaluate
    confidence = formats.percent(evaluate.confidence)
    return {
        "AP": (
            "COCO’s mean average precision over IoU 0.50 to 0.95 and all classes, in points (0 to 100). One evaluator "
            f"scores PyTorch models and artefacts alike; checkpoints are {weights_note(results)}."
        ),
        "Interval": (
            f"Bootstrap over the {results.split_name} images: {formats.count(evaluate.resamples)} resamples with "
            f"replacement (seed {evaluate.seed}), the AP computed anew for each. Resamples repeat images, which raises "
            f"AP and hides some of its scatter, so the middle {confidence} of them is moved to lie around the measured "
            "AP, and widened where the jackknife (groups of images left out in turn) finds a larger standard error."
        ),
        "Paired interval": (
            f"Of a gain over {params.report.baseline}: both models are scored on the same resamples, and the interval "
            "is made of their differences in the same way. It covers the choice of images; every model was trained "
            "once, so what another training seed would change is not in it."
        ),
        "FLOPs": "For one image of the model’s input size; a multiply-add counts as two.",
    }


def _shipping_definition(results: Results) -> dict[str, str]:
    choice = results.chosen
    if choice.best is None:
        return {}
    rungs = [found for found in all_beside(results) if found.rung.model != results.teacher.name]
    measured = "; ".join(
        f"{each.model} {_rung_title(results, each)} {formats.points(each.ap)}" for each in choice.measured
    )
    return {
        "What ships": (
            f"The fastest of the students’ {formats.count(len(rungs))} rungs that took turns whose mAP on "
            f"{formats.count(choice.images)} {choice.split} images is within {formats.points(choice.max_ap_loss)} "
            "points of the best student’s most exact rung there. It was measured there of that rung of each student, "
            f"and of the fastest ones as far as they decide: {measured}.{_flattery(results)}"
        )
    }


def _flattery(results: Results) -> str:
    if not results.is_measured_on_val:
        return ""
    return " The numbers of this report are of the same pictures, so that of the file that ships is a little lucky."


def _rung_title(results: Results, chosen: ChoosingRung) -> str:
    key = chosen.artefact, chosen.backend
    runs = [rung.run for rung in results.rungs if rung.model == chosen.model]
    return next((run_title(run) for run in runs if (run.artefact, run.backend) == key), "")


_SINGLE_STREAM = (
    "; of single images those of 600 s, and 64 at least, which is the rule of MLPerf’s scenario SingleStream"
)


def _latency_definitions(results: Results) -> dict[str, str]:
    benchmark = results.params.benchmark
    backends = ", ".join(backend_title(name) for name in benchmark.backends)
    sizes = ", ".join(str(size) for size in sorted(benchmark.batch_sizes))
    threads = f"{benchmark.threads} threads" if benchmark.threads else "every core"
    single_stream = _SINGLE_STREAM if benchmark.plan == "mlperf" else ""
    return {
        "Own run": (
            "Each model is measured alone, one rung after the other: a call is from decoded image to detections in "
            "original pixels. Calls warm up in windows of "
            f"{benchmark.warmup} until one is no longer faster than the one before (at most {benchmark.warmup_limit} "
            f"calls). Measured are {benchmark.iterations} calls, or those of {benchmark.seconds:g} s where that is "
            f"fewer, but not below ten{single_stream}. Batch {sizes}, {threads}. "
            f"Backends asked for: {backends}. The highest percentiles of few calls are little more than the slowest "
            "call; “at most” is what the percentile does not exceed with a confidence of 99 %, by MLPerf’s early "
            "stopping rule, which needs 64 calls for p90 and 662 for p99."
        ),
        "Taking turns": (
            "The rungs of all models are open in one process, and one at a time runs: in every round each has one "
            "turn, in an order that changes, of two calls that are thrown away and a few that count, fewer of a slow "
            "one. What the machine does meanwhile happens to all, so these times may stand side by side; those of own "
            "runs may not. Times as fast is the ratio to the reference’s median call in the same round; its median "
            "and quartiles over the rounds are given."
        ),
    }


def _ladder_definitions(results: Results) -> dict[str, str]:
    return {
        "Drop": (
            "AP of the PyTorch model minus mAP of the artefact: the same images, pre-processing, post-processing and "
            "evaluator, only precision and backend differ. Its interval is paired: both are scored on the same "
            "resamples of the images."
        ),
        "Matched": (
            f"Of PyTorch’s detections scored {results.params.benchmark.compare_score} or more, the share that the "
            "artefact gives too: same class, IoU 0.5 or more, one to one. IoU and score difference are means over "
            f"those pairs. {formats.MISSING}: there was nothing to match."
        ),
    }
