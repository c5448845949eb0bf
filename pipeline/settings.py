"""``params.yaml`` as typed, validated settings: every stage reads its values from here."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from deploy.runtime.text_files import MissingText, UnreadableText
from pipeline.deploy_settings import (
    BenchmarkSettings,
    CompareSettings,
    EngineSettings,
    ExportSettings,
    PrecisionSettings,
)
from pipeline.errors import SettingsError, did_you_mean
from pipeline.setting_findings import listed_findings
from pipeline.setting_types import (
    BoxOrientation,
    Fraction,
    Name,
    PositiveInt,
    RungPrecision,
    Seed,
    Settings,
    WeightsFile,
)
from pipeline.strict_yaml import read_yaml_file

PARAMS_FILE = Path("params.yaml")


class DigitsSettings(Settings):
    """The composed data set: handwritten digits on aerial photos. Counts are images per split."""

    image_size: Annotated[int, Field(ge=64, multiple_of=32)] = 256
    train: PositiveInt = 1200
    val: PositiveInt = 300
    test: PositiveInt = 400
    seed: Seed = 0


class TreesSettings(Settings):
    """The real data set of tree crowns. Lengths are pixels of the original photos."""

    tile_size: Annotated[int, Field(ge=64, multiple_of=32)] = 256
    overlap: Annotated[int, Field(ge=0)] = 64
    guard: Annotated[int, Field(ge=0)] = 40


class CocoSplitSettings(Settings):
    """One split of a folder with COCO-style annotations; paths are relative to ``coco_dir.root``."""

    annotations: str
    images: str


class CocoDirSettings(Settings):
    """Any data set with COCO-style json.

    Without ``test``, or with a ``test`` that is ``val``, val serves as test. ``boxes_without_area``: boxes of no width
    or height are errors, or are dropped, each one with a finding (COCO's own train2017 has some). ``orientation``:
    boxes of images that EXIF turns are those of the turned image (``apply``), or of the pixels as they are stored
    (``ignore``). Where it is not given, an image's size in the json tells, or the run stops.
    """

    root: Path = Path("datasets/custom")
    train: CocoSplitSettings = CocoSplitSettings(annotations="annotations/train.json", images="train")
    val: CocoSplitSettings = CocoSplitSettings(annotations="annotations/val.json", images="val")
    test: CocoSplitSettings | None = None
    boxes_without_area: Literal["error", "drop"] = "error"
    orientation: BoxOrientation | None = None


class DataSettings(Settings):
    """Which data set the chain runs on, and how the embedded ones are made."""

    name: Literal["digits", "trees", "coco_dir"] = "digits"
    digits: DigitsSettings = DigitsSettings()
    trees: TreesSettings = TreesSettings()
    coco_dir: CocoDirSettings = CocoDirSettings()


class TeacherCheckpoint(WeightsFile):
    """Published weights of the teacher for one data set."""

    @model_validator(mode="before")
    @classmethod
    def _published_ap_has_moved(cls, content: Any) -> Any:
        if isinstance(content, dict) and "published_ap" in content:
            raise ValueError("published_ap has moved: write it as `published_ap: {<data set>: <AP>}` under `teacher`")
        return content


class BackboneWeights(WeightsFile):
    """ImageNet weights of a recipe's backbone (``backbone_weights``); ``layout`` says how their keys are named."""

    layout: Literal["torchvision_mobilenet_v2", "torchvision_resnet", "detectron_resnet", "torchvision_swin"]


class TeacherSettings(Settings):
    """Where the teacher comes from. ``auto`` fetches a listed checkpoint and trains where none is listed.

    ``published_ap`` of a checkpoint is in COCO points (0 to 100). It decides no weight, so it stands beside the
    checkpoints, where correcting it makes the teacher's evaluation anew and nothing else.
    """

    source: Literal["auto", "fetch", "train"] = "auto"
    config: Path
    options: dict[str, Any] = {}
    checkpoints: dict[str, TeacherCheckpoint] = {}
    published_ap: dict[str, Annotated[float, Field(ge=0, le=100)]] = {}

    @model_validator(mode="after")
    def _published_is_listed(self) -> Self:
        if unlisted := sorted({*self.published_ap} - {*self.checkpoints}):
            raise ValueError(f"published_ap: {unlisted} are no data sets of `checkpoints`, {sorted(self.checkpoints)}")
        return self


class StudentSettings(Settings):
    """One entry of ``students``. ``options`` override keys of the recipe (dotted, as mmengine's cfg-options)."""

    recipe: Path
    options: dict[str, Any] = {}


class TrainSettings(Settings):
    """How training runs on this machine, or on several; what is trained is the recipe's business.

    ``launcher`` starts ``processes`` processes on each of ``nodes`` machines; ``processes`` none is one a GPU.
    """

    launcher: Literal["none", "pytorch", "slurm"] = "none"
    processes: PositiveInt | None = None
    nodes: PositiveInt = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    workers: Annotated[int, Field(ge=0)] = 2
    seed: Seed = 0
    checkpoint_interval: PositiveInt = 100
    log_interval: PositiveInt = 10

    @model_validator(mode="after")
    def _counts_have_a_launcher(self) -> Self:
        if self.launcher != "pytorch" and (self.processes or 1, self.nodes) != (1, 1):
            cure = "srun decides how many processes run and where" if self.launcher == "slurm" else "set it to pytorch"
            raise ValueError(
                f"processes is {self.processes} and nodes is {self.nodes}, which only launcher 'pytorch' starts, and "
                f"launcher is {self.launcher!r}: {cure}"
            )
        return self


DECISIVE = ("seed", "precision", "channels_last", "device", "workers")
"""Keys of ``train`` that decide a training's result; each worker of the data loader draws its own augmentation."""
PROCESSES = ("launcher", "processes", "nodes")
"""Keys of ``train`` that decide it by the number of processes that they come to."""
TRAINING = tuple(f"train.{key}" for key in (*DECISIVE, *PROCESSES))
"""What a training depends on. The other keys of ``train`` say how often it is saved and logged."""
HARMLESS = ("train.checkpoint_interval", "train.log_interval")


class EvaluateSettings(Settings):
    """How accuracy is measured. ``resamples`` is the number of bootstrap samples over images."""

    split: Literal["val", "test"] = "test"
    batch_size: PositiveInt = 8
    resamples: PositiveInt = 1000
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Seed = 0


class Gates(Settings):
    """Limits that fail a stage. AP and mAP are COCO points (0 to 100); a gate that is null or missing is off.

    ``benchmark_max_map_drop`` holds every rung of a precision, ``benchmark_max_latency_ms`` a model's fastest rung.
    """

    teacher_min_ap: float | None = None
    student_min_ap: float | None = None
    export_max_box_difference_px: float | None = 1.0
    export_max_score_difference: float | None = 0.01
    export_min_matched: Fraction | None = 0.99
    benchmark_max_map_drop: dict[RungPrecision, float | None] = {
        "fp32": 0.05,
        "bf16": 0.2,
        "fp16": 0.2,
        "int8": 1.0,
        "int8_symmetric": 1.0,
    }
    benchmark_max_latency_ms: float | None = None

    def map_drop_limit(self, rung: str) -> float | None:
        """``benchmark_max_map_drop`` of a precision; None where it is off."""
        return next((limit for name, limit in self.benchmark_max_map_drop.items() if name == rung), None)


class ReportSettings(Settings):
    """What the report shows. ``baseline`` is the twin that every other student is compared with."""

    baseline: Name = "twin"
    images: PositiveInt = 6
    score_threshold: Fraction = 0.3


class Params(Settings):
    """The whole of ``params.yaml``."""

    data: DataSettings
    teacher: TeacherSettings
    students: Annotated[dict[Name, StudentSettings], Field(min_length=1)]
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    export: ExportSettings
    precision: PrecisionSettings = PrecisionSettings()
    engine: EngineSettings = EngineSettings()
    benchmark: BenchmarkSettings
    compare: CompareSettings = CompareSettings()
    gates: Gates = Gates()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        if "teacher" in self.students:
            raise ValueError("students.teacher: the name 'teacher' is taken by the teacher itself, choose another")
        known = {"teacher", *self.students}
        for name in self.export.models:
            if name not in known:
                raise ValueError(f"export.models: {name!r} is no student; {did_you_mean(name, known)}")
        baseline = self.report.baseline
        # Without a student of the default's name, nothing is compared; a name that was written must be there.
        if "baseline" in self.report.model_fields_set and baseline not in self.students:
            raise ValueError(
                f"report.baseline: {baseline!r} is no student; {did_you_mean(baseline, self.students)} "
                "(leave the key out for a report that compares with no twin)"
            )
        return self

    @model_validator(mode="after")
    def _engines_take_the_batches(self) -> Self:
        taken = [range(profile.least, profile.most + 1) for profile in self.engine.profiles]
        beyond = [size for size in self.benchmark.batch_sizes if not any(size in sizes for sizes in taken)]
        if "tensorrt" in self.benchmark.backends and beyond:
            raise ValueError(f"benchmark.batch_sizes: {beyond} are in no profile of engine.profiles; add or widen one")
        return self

    def checkpoint(self) -> TeacherCheckpoint | None:
        """The teacher's published weights for the chosen data set, if any are listed."""
        return self.teacher.checkpoints.get(self.data.name)


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate ``params.yaml``.

    Raises:
        SettingsError: the file is missing or not YAML, a key is given twice, or a key is unknown, missing or out of
            range; every finding is listed with its key and value.
    """
    try:
        content = read_yaml_file(path)
    except MissingText as error:
        raise SettingsError(f"{path}: no such file; run the command from the project's root") from error
    except UnreadableText as error:
        raise SettingsError(f"{path}: {error}") from error
    return parse_params(content, source=str(path))


def parse_params(content: object, source: str = "params.yaml") -> Params:
    """Validate the content of ``params.yaml``; raises :class:`SettingsError` as :func:`load_params` does."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise SettingsError(
            f"{source} has {error.error_count()} invalid value(s):\n{listed_findings(error, Params)}"
        ) from error
