"""Typed results of the inference side: the exported files, how precisions were made, and the ladder of every model.

Units are those of :mod:`pipeline.records`.
"""

from typing import Literal

from deploy.runtime.engine_file import Target
from deploy.runtime.measurements import Latency
from pipeline.records import AccuracyRecord, Interval, Record


class TensorInfo(Record):
    """Name, element type and shape of a graph's input or output; a string dimension is dynamic."""

    name: str
    dtype: str
    shape: list[int | str]


class ExportCheck(Record):
    """PyTorch against ONNX Runtime on real images: detections matched one to one by class and IoU.

    ``matched`` is the share of ``detections`` that are in a pair, null where there are none; the differences are over
    the pairs, null where there is none. On ``rounding_chose`` of the images NMS, turned over by rounding, kept another
    list of the same candidates than PyTorch's did; there the pairs are with the candidates.
    """

    images: int
    detections: int
    matched: float | None
    max_box_difference_px: float | None
    max_score_difference: float | None
    rounding_chose: int = 0


class ExportRecord(Record):
    """One ONNX file."""

    model: str
    file: str
    sha256: str
    file_size: int
    opset: int
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    metadata: dict[str, str]
    check: ExportCheck


class CalibrationRecord(Record):
    """Which images told the ranges of activations; the hash is of their names and contents in order."""

    split: str
    images: int
    seed: int
    sha256: str


class KeptLayer(Record):
    """A layer that stays in fp32; ``error`` is what quantising it alone does to the head's outputs (0: nothing)."""

    layer: str
    error: float


class LayerSearch(Record):
    """What quantisation costs on a slice of a split, in AP points, and the layers that were kept in fp32 to pay less.

    ``quantised_ap`` is with all ``layers`` quantised, ``ap`` is that of the artefact.
    """

    split: str
    images: int
    max_map_drop: float
    fp32_ap: float | None
    quantised_ap: float | None
    ap: float | None
    layers: int
    kept: list[KeptLayer]


class ArtefactFile(Record):
    """One file in one precision."""

    precision: str
    file: str
    sha256: str
    file_size: int


class PrecisionArtefact(ArtefactFile):
    """One file made from the exported one; ``search`` is for int8."""

    search: LayerSearch | None


class PrecisionRecord(Record):
    """Every precision of one exported artefact."""

    model: str
    parent: str
    parent_sha256: str
    calibration: CalibrationRecord
    artefacts: list[PrecisionArtefact]


class CardRecord(Record):
    """A model card, and the files that its numbers are of; ``ship`` is the precision of the one that it recommends."""

    model: str
    card_sha256: str
    ship: str | None
    files: list[ArtefactFile]


class ClassDrop(Record):
    """How far one class falls below PyTorch, in AP points (negative: it gained)."""

    name: str
    drop: float


class BoxDifferences(Record):
    """An artefact against PyTorch box by box.

    PyTorch's ``detections`` scored ``score`` or more are matched one to one with the artefact's by class and IoU (at
    least 0.5); ``matched`` is the share that has a partner, null where PyTorch has none. Differences are over the
    pairs, null where there are none.
    """

    score: float
    detections: int
    matched: float | None
    mean_iou: float | None
    mean_score_difference: float | None
    max_score_difference: float | None


class BackendRun(Record):
    """One rung of the ladder, an artefact under a backend: either measured, or ``not run`` with the reason.

    ``artefact`` is the precision of the file, ``precision`` what the backend computes in. ``map_drop`` is PyTorch's mAP
    minus the artefact's; its interval is paired over resamples of the images. ``cores`` are those that it was kept on
    (none: wherever the system liked). ``sweep_end`` and ``sweep_reason`` say why larger batches are missing from
    ``latency``, ``gpu_unseen`` why NVML told nothing of the GPU.
    """

    artefact: str
    backend: str
    version: str
    device: str
    precision: str
    status: Literal["ok", "not run"]
    reason: str
    threads: int
    cores: list[int]
    accuracy: AccuracyRecord | None
    map_drop: float | None
    map_drop_interval: Interval | None
    worst_class: ClassDrop | None
    boxes: BoxDifferences | None
    latency: list[Latency]
    sweep_end: Literal["complete", "time", "memory", "profiles"] | None
    sweep_reason: str
    gpu_unseen: str
    load_ms: float | None
    peak_memory_bytes: int | None

    @property
    def rung(self) -> str:
        """The precision that the rung stands for: the file's, unless the backend takes an fp32 file further down."""
        return self.precision if self.artefact == "fp32" and self.precision else self.artefact

    def latency_at(self, batch_size: int) -> Latency | None:
        """The measurement at ``batch_size``, where it was made."""
        return next((item for item in self.latency if item.batch_size == batch_size), None)


class BenchmarkRecord(Record):
    """The ladder of one model: every artefact under every backend that takes it, the most exact precision first.

    ``torch_ap`` is PyTorch's mAP on the ``images`` that the artefacts were measured on, evenly spaced over the split
    where they are not all of it, and ``torch_interval`` that of it.
    """

    model: str
    images: int
    torch_ap: float | None
    torch_interval: Interval | None
    artefacts: list[ArtefactFile]
    runs: list[BackendRun]

    def fastest(self, batch_size: int) -> BackendRun | None:
        """The rung with the lowest median latency at ``batch_size``."""
        measured = [(latency.p50, run) for run in self.runs if (latency := run.latency_at(batch_size))]
        return min(measured, key=lambda item: item[0])[1] if measured else None


class ComparedRung(Record):
    """A rung at the smallest batch size, while the rungs of all models took turns in one run.

    ``artefact`` is the precision of the file, ``precision`` that of the rung (:attr:`BackendRun.rung`). ``group`` is
    the place in :attr:`ComparisonRecord.groups` of those that it took turns with, ``calls`` the measured calls in each
    of its turns. ``times_as_fast`` is the median over the rounds of the reference's time over its own, ``low`` and
    ``high`` their quartiles. ``milliseconds`` is its median call where there is one group, else the reference's over
    all groups divided by ``times_as_fast``.
    """

    model: str
    artefact: str
    backend: str
    precision: str
    group: int
    calls: int
    milliseconds: float
    times_as_fast: float
    low: float
    high: float


class AbsentRung(Record):
    """A rung that ran in its own run and did not take turns, and why."""

    model: str
    artefact: str
    backend: str
    reason: str


class TurnsGroup(Record):
    """Rungs that were open at once: the rounds of their turns, and the median call of the reference among them, ms."""

    rounds: int
    reference: float


class ComparisonRecord(Record):
    """Times from one run in which the rungs took turns; the first of them is the reference, which is in every group."""

    batch_size: int
    groups: list[TurnsGroup]
    rungs: list[ComparedRung]
    absent: list[AbsentRung]


class EngineBuild(Record):
    """The TensorRT engine of one ONNX file: built, or ``not built`` with the reason and nothing behind it."""

    graph: str
    graph_sha256: str
    precision: str
    status: Literal["built", "not built"]
    reason: str
    file: str | None
    sha256: str | None
    file_size: int | None
    build_seconds: float | None


class EngineRecord(Record):
    """The TensorRT engines of one model; ``target`` is null where none was built.

    ``profiles`` are the batch sizes (least, tuned for, most) of each optimisation profile.
    """

    model: str
    target: Target | None
    nms_passes: int
    profiles: list[tuple[int, int, int]]
    engines: list[EngineBuild]
