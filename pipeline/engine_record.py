"""What the engine stage built: see :mod:`pipeline.records` for the rules of all records."""

from typing import Literal

from pipeline.records import Record


class EngineTarget(Record):
    """Where an engine runs; ``tensorrt`` is the module and its version."""

    gpu: str
    compute_capability: str
    driver: str
    tensorrt: str


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
    target: EngineTarget | None
    nms_passes: int
    profiles: list[tuple[int, int, int]]
    engines: list[EngineBuild]
