"""Every rung of every model, taking turns in one run: times that may stand side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.runtime.backends import resolve_threads
from deploy.runtime.images import read_image
from deploy.runtime.split import Split
from deploy.timing.compare import Compared, Comparison, Contender, compare
from deploy.timing.cpu_affinity import pin
from deploy.timing.latency import LATENCY_IMAGES
from deploy.timing.turns import Schedule
from pipeline.datasets.prepared import find_split, measured_split, read_dataset
from pipeline.deploy_records import AbsentRung, BackendRun, BenchmarkRecord, ComparedRung, ComparisonRecord, TurnsGroup
from pipeline.deploy_settings import BenchmarkSettings, CompareSettings
from pipeline.layout import TEACHER, artefact_file


class _Entry(NamedTuple):
    """A rung that ran, and its median call in its own run, ms."""

    model: str
    run: BackendRun
    milliseconds: float

    @property
    def contender(self) -> Contender:
        return Contender(str(artefact_file(self.model, self.run.artefact)), self.run.backend)


def compare_rungs(
    records: Sequence[BenchmarkRecord],
    dataset_dir: Path,
    split: str,
    benchmark: BenchmarkSettings,
    settings: CompareSettings,
) -> ComparisonRecord:
    """Let every rung that its benchmark ran at the smallest batch size take turns with all others.

    The reference is the teacher's fastest, or the first model's where the teacher was not exported. Images are those of
    ``split``, or of val where that is ``test`` and the data set has none.

    Raises:
        DatasetError: the data set has no such split.
        ArtefactError: an artefact that had opened and run fails later.
    """
    batch_size = min(benchmark.batch_sizes)
    entries = _entries(records, batch_size)
    comparison = Comparison([], [], [])
    if entries:
        annotations, image_root = find_split(dataset_dir, measured_split(read_dataset(dataset_dir), split))
        files = [image_root / entry["file_name"] for entry in Split.read(annotations).images[:LATENCY_IMAGES]]
        if benchmark.pin:
            pin(resolve_threads(benchmark.threads))
        comparison = compare(
            [entry.contender for entry in entries],
            [read_image(file) for file in files],
            batch_size,
            benchmark.threads,
            Schedule(settings.rounds, settings.calls, settings.seconds),
            settings.sessions,
            candidates=sum(entry.model == entries[0].model for entry in entries),
        )
    known = {entry.contender: entry for entry in entries}
    return ComparisonRecord(
        batch_size=batch_size,
        groups=[TurnsGroup(rounds=each.rounds, reference=each.reference) for each in comparison.groups],
        rungs=[_compared(known[each.contender], each) for each in comparison.compared],
        absent=[_absent(known[each.contender], each.error) for each in comparison.refused],
    )


def _entries(records: Sequence[BenchmarkRecord], batch_size: int) -> list[_Entry]:
    """The reference's model first, its fastest first; then one rung of all models after the other.

    Where they are not all open at once, the same rung of different models is then in the same group.
    """
    ordered = sorted(records, key=lambda record: record.model != TEACHER)
    found = [
        [_Entry(record.model, run, latency.p50) for run in record.runs if (latency := run.latency_at(batch_size))]
        for record in ordered
    ]
    first, *others = [entries for entries in found if entries] or [[]]
    rest = [entry for entries in others for entry in entries]
    places = list(dict.fromkeys(_rung(entry) for entry in (*first, *rest)))
    fastest_first = sorted(first, key=lambda entry: entry.milliseconds)
    return [*fastest_first, *sorted(rest, key=lambda entry: places.index(_rung(entry)))]


def _rung(entry: _Entry) -> tuple[str, str]:
    return entry.run.artefact, entry.run.backend


def _compared(entry: _Entry, compared: Compared) -> ComparedRung:
    ratio = compared.ratio
    return ComparedRung(
        model=entry.model,
        artefact=entry.run.artefact,
        backend=entry.run.backend,
        precision=entry.run.rung,
        group=compared.group,
        calls=compared.calls,
        milliseconds=compared.milliseconds,
        times_as_fast=ratio.median,
        low=ratio.low,
        high=ratio.high,
    )


def _absent(entry: _Entry, error: Exception) -> AbsentRung:
    reason = str(error) or type(error).__name__
    return AbsentRung(model=entry.model, artefact=entry.run.artefact, backend=entry.run.backend, reason=reason)
