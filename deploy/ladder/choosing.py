"""What ships: the fastest artefact that loses little AP, chosen on pictures that none of the reported numbers is of.

AP of a rung is measured on the val split only where it decides something: of each student's most exact rung, and then
of the fastest ones until enough of them are within the budget.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from deploy.runtime.backends import resolve_threads
from deploy.runtime.detections import category_ids
from deploy.runtime.detector import open_detector
from deploy.runtime.split import Split
from deploy.runtime.split_detections import detect_split
from deploy.timing.cpu_affinity import pin
from pipeline.datasets.prepared import VAL, find_split, measured_split, read_dataset
from pipeline.deploy_records import BenchmarkRecord, ComparedRung, ComparisonRecord
from pipeline.deploy_settings import BenchmarkSettings
from pipeline.evaluation.accuracy import evaluate_detections
from pipeline.layout import TEACHER, artefact_file
from pipeline.shipping_records import ChoosingRung, ShippingChoice

LISTED = 3
"""What ships, and what the next two would be."""

Accuracy = Callable[[ComparedRung], float | None]
"""AP of a rung on the split that chooses, in points; None where there is no box to find."""


def choose_artefacts(
    comparison: ComparisonRecord,
    records: Sequence[BenchmarkRecord],
    dataset_dir: Path,
    split: str,
    benchmark: BenchmarkSettings,
    max_ap_loss: float,
) -> ShippingChoice:
    """Choose among the students' rungs that took turns, by their times there and by AP on the val split.

    Where val is the measured split, its AP is in the benchmarks already. Else the files run on val here, on
    ``accuracy_images`` of it as in their benchmarks.

    Args:
        comparison: the times.
        records: the benchmarks of the models, which were measured on ``split``.
        dataset_dir: a prepared data set.
        split: as ``evaluate.split``.
        benchmark: threads, cores and images.
        max_ap_loss: points that what ships may lose to the best.

    Raises:
        DatasetError: the data set has no val split.
        ArtefactError: an artefact that had run fails now.
        ImageError: an image cannot be read.
    """
    dataset = read_dataset(dataset_dir)
    annotations, image_root = find_split(dataset_dir, VAL)
    content = Split.read(annotations).spaced(benchmark.accuracy_images)
    if dataset.splits[measured_split(dataset, split)].sha256 == dataset.splits[VAL].sha256:
        accuracy = _as_benchmarked(records)
    else:
        accuracy = _on_val(content, image_root, benchmark)
    students = [rung for rung in comparison.rungs if rung.model != TEACHER]
    return choose(students, accuracy, max_ap_loss, VAL, len(content.images))


def choose(
    rungs: Sequence[ComparedRung], accuracy: Accuracy, max_ap_loss: float, split: str, images: int
) -> ShippingChoice:
    """The choice itself.

    Args:
        rungs: those that may ship; of each model the most exact first.
        accuracy: asked for what decides something, and for no rung twice.
        max_ap_loss: points that a rung may lose to the best student's most exact one.
        split: where AP is from.
        images: of it.
    """
    measured = _Measured(accuracy)
    by_time = sorted(rungs, key=lambda rung: rung.milliseconds)
    exact = [measured(_most_exact(rungs, model)) for model in dict.fromkeys(rung.model for rung in rungs)]
    reached = {rung.model: rung.ap for rung in exact if rung.ap is not None}
    common = max(reached.values(), default=0.0) - max_ap_loss
    near = {model for model, ap in reached.items() if ap >= common}
    least = {model: common if model in near else ap - max_ap_loss for model, ap in reached.items()}
    of_best = [rung for rung in by_time if rung.model in near]
    candidates = _within(of_best, common, measured, LISTED)
    of_model = {
        model: _within([rung for rung in by_time if rung.model == model], limit, measured, 1)[0]
        for model, limit in least.items()
    }
    return ShippingChoice(
        split=split,
        images=images,
        max_ap_loss=max_ap_loss,
        best=max((rung for rung in exact if rung.ap is not None), key=lambda rung: rung.ap or 0.0, default=None),
        candidates=candidates,
        of_model=of_model,
        measured=[*measured.rungs.values()],
    )


class _Measured:
    """AP where it was asked for, in the order in which it was."""

    def __init__(self, accuracy: Accuracy) -> None:
        self._accuracy = accuracy
        self.rungs: dict[tuple[str, str, str], ChoosingRung] = {}

    def __call__(self, rung: ComparedRung) -> ChoosingRung:
        key = rung.model, rung.artefact, rung.backend
        if key not in self.rungs:
            ap = self._accuracy(rung)
            self.rungs[key] = ChoosingRung(model=rung.model, artefact=rung.artefact, backend=rung.backend, ap=ap)
        return self.rungs[key]


def _within(rungs: Iterable[ComparedRung], least: float, measured: _Measured, count: int) -> list[ChoosingRung]:
    """The first ``count`` rungs with an AP of ``least`` or more; those after them are not measured."""
    passing = (found for rung in rungs if (found := measured(rung)).ap is not None and found.ap >= least)
    return [*islice(passing, count)]


def _most_exact(rungs: Iterable[ComparedRung], model: str) -> ComparedRung:
    """The fastest of the precision that a model's first rung is in."""
    own = [rung for rung in rungs if rung.model == model]
    return min((rung for rung in own if rung.precision == own[0].precision), key=lambda rung: rung.milliseconds)


def _as_benchmarked(records: Sequence[BenchmarkRecord]) -> Accuracy:
    found = {
        (record.model, run.artefact, run.backend): run.accuracy.numbers.ap
        for record in records
        for run in record.runs
        if run.accuracy
    }
    return lambda rung: found[rung.model, rung.artefact, rung.backend]


def _on_val(content: Split, image_root: Path, benchmark: BenchmarkSettings) -> Accuracy:
    if benchmark.pin:
        pin(resolve_threads(benchmark.threads))

    def ap(rung: ComparedRung) -> float | None:
        file = artefact_file(rung.model, rung.artefact)
        with open_detector(file, rung.backend, benchmark.threads) as detector:
            ids = category_ids(detector.spec.classes, content.categories, str(file))
            title = f"{file.name} under {rung.backend} on {VAL}"
            found = detect_split(detector, content, image_root, ids, title)
        return evaluate_detections(content, found, VAL).numbers.ap

    return ap
