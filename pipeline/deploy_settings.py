"""The sections of ``params.yaml`` on artefacts: export, precisions, engines and benchmarks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.setting_types import ArtefactPrecision, Fraction, Name, PositiveInt, Seed, Settings


class ExportSettings(Settings):
    """What goes into the ONNX file. ``check_images`` are compared with PyTorch after the export.

    ``dynamic_size``: height and width of the input are open, and images are resized as the recipe's test pipeline
    resizes them, whichever way up they are, instead of to the recipe's one canvas.
    """

    models: Annotated[list[Name], Field(min_length=1)]
    opset: Annotated[int, Field(ge=18)] = 18
    dynamic_size: bool = False
    score_threshold: Fraction = 0.05
    nms_iou_threshold: Annotated[float, Field(gt=0, le=1)] = 0.6
    max_candidates: PositiveInt = 1000
    max_detections: PositiveInt = 100
    check_images: PositiveInt = 32


class ProfileSettings(Settings):
    """Batch sizes of one optimisation profile: it takes ``least`` to ``most`` images and is tuned for ``best``."""

    least: PositiveInt = 1
    best: PositiveInt
    most: PositiveInt

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.least <= self.best <= self.most:
            raise ValueError(f"least <= best <= most is needed, got {self.least}, {self.best}, {self.most}")
        return self


class EngineSettings(Settings):
    """How TensorRT engines are built.

    A batch runs under the profile that is tuned for the nearest size. ``nms_passes`` is even: too few passes then keep
    a suppressed box rather than lose a detection (``deploy/graph/nms.py``).
    """

    profiles: Annotated[list[ProfileSettings], Field(min_length=1)] = [
        ProfileSettings(best=1, most=1),
        ProfileSettings(best=8, most=32),
    ]
    nms_passes: Annotated[int, Field(gt=0, multiple_of=2)] = 16
    workspace_mib: PositiveInt = 2048


class CalibrationSettings(Settings):
    """Images that tell how large activations get: from the train split, never from what is measured on."""

    split: Literal["train"] = "train"
    images: PositiveInt = 128
    seed: Seed = 0


class SearchSettings(Settings):
    """When int8 costs more than ``max_map_drop`` AP points on ``images`` of the val split, layers are kept in fp32.

    ``max_layers`` is the most that are kept; they are ranked on ``layer_images``.
    """

    split: Literal["val"] = "val"
    images: PositiveInt = 100
    max_map_drop: Annotated[float, Field(ge=0)] = 0.5
    max_layers: Annotated[int, Field(ge=0)] = 8
    layer_images: PositiveInt = 8


class PrecisionSettings(Settings):
    """How fp16 and int8 are made from the exported file. ``reduce_range``: 7-bit weights, for CPUs without VNNI."""

    calibration: CalibrationSettings = CalibrationSettings()
    search: SearchSettings = SearchSettings()
    reduce_range: bool = False


class CompareSettings(Settings):
    """How long the rungs of all models take turns (:class:`deploy.timing.turns.Schedule`).

    Each has ``calls`` in each of ``rounds``, or fewer where ``seconds`` for all of them are spent, but one call in
    each of three rounds. At most ``sessions`` are open at once.
    """

    rounds: PositiveInt = 15
    calls: PositiveInt = 8
    seconds: Annotated[float, Field(gt=0)] = 60
    sessions: Annotated[int, Field(ge=2)] = 64


class BenchmarkSettings(Settings):
    """Which artefacts run under which backends and how long (:class:`deploy.timing.latency.Plan`).

    ``threads`` 0 means every core that the process may use, in a container those of its CPU time; with fewer, ``pin``
    keeps the worker on as many cores. mAP is measured on ``accuracy_images``, evenly spaced over the split (null: all),
    and so is PyTorch's, which it is compared with. Batch sizes are measured from the smallest up, until the median call
    takes longer than ``max_call_ms`` or memory is short. Boxes are compared with PyTorch's detections scored
    ``compare_score`` or more.
    """

    precisions: Annotated[list[ArtefactPrecision], Field(min_length=1)] = ["fp32", "fp16", "int8", "int8_symmetric"]
    backends: Annotated[list[str], Field(min_length=1)]
    compare_score: Fraction = 0.3
    accuracy_images: PositiveInt | None = None
    batch_sizes: Annotated[list[PositiveInt], Field(min_length=1)] = [1, 8, 32]
    max_call_ms: Annotated[float, Field(gt=0)] | None = 1000
    threads: Annotated[int, Field(ge=0)] = 0
    pin: bool = True
    warmup: PositiveInt = 5
    warmup_limit: PositiveInt = 100
    stable_within: Annotated[float, Field(ge=0, lt=1)] = 0.05
    iterations: PositiveInt = 200
    seconds: Annotated[float, Field(gt=0)] = 2
    noise_limit: Annotated[float, Field(gt=0)] = 0.2
    plan: Literal["calls", "mlperf"] = "calls"
