"""The fastest artefact of every model, taking turns in one run: how much faster a student is, and how sure that is."""

from collections.abc import Sequence
from pathlib import Path

from deploy.runtime.backends import resolve_threads
from deploy.runtime.images import read_image
from deploy.runtime.split import Split
from deploy.timing.compare import Compared, Contender, compare
from deploy.timing.cpu_affinity import pin
from deploy.timing.latency import LATENCY_IMAGES
from pipeline.datasets.prepared import find_split, measured_split, read_dataset
from pipeline.deploy_records import BackendRun, BenchmarkRecord, ComparedModel, ComparisonRecord
from pipeline.deploy_settings import BenchmarkSettings, CompareSettings
from pipeline.layout import TEACHER, artefact_file


def compare_models(
    records: Sequence[BenchmarkRecord],
    dataset_dir: Path,
    split: str,
    benchmark: BenchmarkSettings,
    settings: CompareSettings,
) -> ComparisonRecord:
    """Compare, at the smallest batch size, the rung of each model that its benchmark found the fastest.

    The reference is the teacher where it was exported, else the first model. A model of which no backend ran is left
    out; where fewer than two are left, nothing is compared. Images are those of ``split``, or of val where that is
    ``test`` and the data set has none.

    Raises:
        DatasetError: the data set has no such split.
        ArtefactError: an artefact cannot be read.
    """
    batch_size = min(benchmark.batch_sizes)
    ordered = sorted(records, key=lambda record: record.model != TEACHER)
    fastest = [(record.model, run) for record in ordered if (run := record.fastest(batch_size))]
    compared: list[Compared] = []
    if len(fastest) > 1:
        annotations, image_root = find_split(dataset_dir, measured_split(read_dataset(dataset_dir), split))
        entries = Split.read(annotations).images[:LATENCY_IMAGES]
        images = [read_image(image_root / entry["file_name"]) for entry in entries]
        if benchmark.pin:
            pin(resolve_threads(benchmark.threads))
        contenders = [Contender(str(artefact_file(model, run.artefact)), run.backend) for model, run in fastest]
        compared = compare(contenders, images, batch_size, benchmark.threads, settings.rounds, settings.calls)
    return ComparisonRecord(
        batch_size=batch_size,
        rounds=settings.rounds,
        calls=settings.calls,
        models=[_described(model, run, each) for (model, run), each in zip(fastest, compared, strict=False)],
    )


def _described(model: str, run: BackendRun, compared: Compared) -> ComparedModel:
    ratio = compared.ratio
    return ComparedModel(
        model=model,
        artefact=run.artefact,
        backend=run.backend,
        precision=run.rung,
        milliseconds=compared.milliseconds,
        times_as_fast=ratio.median,
        low=ratio.low,
        high=ratio.high,
    )
