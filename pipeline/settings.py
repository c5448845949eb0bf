"""``params.yaml`` as typed, validated settings: every stage reads its values from here."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from deploy.runtime.text_files import MissingText, UnreadableText
from pipeline.dataset_settings import DataSettings
from pipeline.deploy_settings import (
    BenchmarkSettings,
    CompareSettings,
    EngineSettings,
    ExportSettings,
    PrecisionSettings,
)
from pipeline.errors import SettingsError, did_you_mean
from pipeline.label_settings import LabelSettings
from pipeline.recipe_settings import BudgetSettings, InputSize, Width
from pipeline.report_settings import ReportSettings
from pipeline.setting_findings import listed_findings
from pipeline.setting_types import (
    Fraction,
    Name,
    PositiveInt,
    RungPrecision,
    Seed,
    Settings,
    StartingWeights,
    WeightsFile,
)
from pipeline.strict_yaml import read_yaml_file

PARAMS_FILE = Path("params.yaml")


class TeacherCheckpoint(WeightsFile):
    """Published weights of the teacher for one data set."""

    @model_validator(mode="before")
    @classmethod
    def _published_ap_has_moved(cls, content: Any) -> Any:
        if isinstance(content, dict) and "published_ap" in content:
            raise ValueError("published_ap has moved: write it as `published_ap: {<data set>: <AP>}` under `teacher`")
        return content


class BackboneWeights(StartingWeights):
    """ImageNet weights of a recipe's backbone (``backbone_weights``); ``layout`` says how their keys are named."""

    layout: Literal[
        "torchvision_mobilenet_v2",
        "torchvision_resnet",
        "detectron_resnet",
        "torchvision_swin",
        "openmmlab_classifier",
    ]


class TeacherSettings(Settings):
    """Where the teacher comes from. ``auto`` fetches a listed checkpoint and trains where none is listed.

    ``init`` is what a teacher that is trained here starts from, as a student's is.
    ``published_ap`` of a checkpoint is in COCO points (0 to 100). It decides no weight, so it stands beside the
    checkpoints, where correcting it makes the teacher's evaluation anew and nothing else.
    """

    source: Literal["auto", "fetch", "train"] = "auto"
    config: Path
    options: dict[str, Any] = {}
    train: BudgetSettings = BudgetSettings()
    init: StartingWeights | None = None
    checkpoints: dict[str, TeacherCheckpoint] = {}
    published_ap: dict[str, Annotated[float, Field(ge=0, le=100)]] = {}

    @model_validator(mode="after")
    def _published_is_listed(self) -> Self:
        if unlisted := sorted({*self.published_ap} - {*self.checkpoints}):
            raise ValueError(f"published_ap: {unlisted} are no data sets of `checkpoints`, {sorted(self.checkpoints)}")
        return self


class StudentSettings(Settings):
    """An entry of ``twins`` or ``students``; ``options`` override keys of its recipe, dotted as mmengine's are.

    ``width`` multiplies the recipe's number of channels; give a student and its twin one width.
    ``init`` is a detector's weights to start from, its class layers refitted by the names of the classes.
    ``unlabelled`` pictures without boxes are trained on for each one with boxes, by what the stage ``label`` found.
    """

    recipe: Path
    width: Width = 1.0
    unlabelled: Annotated[float, Field(gt=0, le=100)] | None = None
    init: StartingWeights | None = None
    options: dict[str, Any] = {}


Tracker = Literal["tensorboard", "mlflow", "wandb", "dvclive"]


class EarlyStoppingSettings(Settings):
    """When a training that no longer improves has the rest of its schedule shortened; without ``patience`` none has.

    ``patience`` counts validations in a row whose AP is not above the best one, and by ``min_delta`` points at least.
    """

    patience: PositiveInt | None = None
    min_delta: Annotated[float, Field(ge=0, le=100)] = 0.0


class TrainSettings(BudgetSettings):
    """How training runs on this machine, or on several, and where it is not the recipe's the budget of all students.

    ``launcher`` starts ``processes`` processes on each of ``nodes`` machines; ``processes`` none is one a GPU.
    ``workers`` processes load images for each of them; none is one a core, at most 8. ``trackers`` get the losses.
    """

    launcher: Literal["none", "pytorch", "slurm"] = "none"
    processes: PositiveInt | None = None
    nodes: PositiveInt = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    workers: Annotated[int, Field(ge=0)] | None = None
    seed: Seed = 0
    early_stopping: EarlyStoppingSettings = EarlyStoppingSettings()
    checkpoint_interval: PositiveInt = 100
    log_interval: PositiveInt = 10
    trackers: list[Tracker] = []

    @model_validator(mode="after")
    def _a_tracker_once(self) -> Self:
        if twice := sorted({name for name in self.trackers if self.trackers.count(name) > 1}):
            raise ValueError(f"trackers: {', '.join(twice)} is listed twice")
        return self

    @model_validator(mode="after")
    def _counts_have_a_launcher(self) -> Self:
        if self.launcher != "pytorch" and (self.processes or 1, self.nodes) != (1, 1):
            cure = "srun decides how many processes run and where" if self.launcher == "slurm" else "set it to pytorch"
            raise ValueError(
                f"processes is {self.processes} and nodes is {self.nodes}, which only launcher 'pytorch' starts, and "
                f"launcher is {self.launcher!r}: {cure}"
            )
        return self


DECISIVE = ("seed", "precision", "channels_last", "device", "early_stopping")
"""Keys of ``train`` that decide a training's result."""
PROCESSES = ("launcher", "processes", "nodes")
"""Keys of ``train`` that decide it by the number of processes that they come to."""
TRAINING = tuple(f"train.{key}" for key in (*DECISIVE, *PROCESSES))
"""What a training depends on. Other keys of ``train`` say how fast it loads, how often it is saved, what is logged."""
HARMLESS = ("train.workers", "train.checkpoint_interval", "train.log_interval", "train.trackers")


class EvaluateSettings(Settings):
    """How accuracy is measured. ``resamples`` is the number of bootstrap samples over images.

    ``split`` ``test`` is val where the data set has no test split.
    """

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


class Params(Settings):
    """The whole of ``params.yaml``."""

    data: DataSettings
    input_size: InputSize | None = None
    teacher: TeacherSettings
    twins: dict[Name, StudentSettings] = {}
    students: dict[Name, StudentSettings] = {}
    label: LabelSettings = LabelSettings()
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
        trained = self.trained
        if not trained:
            raise ValueError("twins and students: both are empty; list a recipe in one of them")
        if "teacher" in trained:
            raise ValueError("students.teacher: the name 'teacher' is taken by the teacher itself, choose another")
        if alone := sorted(name for name, twin in self.twins.items() if twin.unlabelled is not None):
            raise ValueError(
                f"twins.{alone[0]}.unlabelled: a twin waits for no teacher, which labels them; list it in students"
            )
        if twice := sorted({*self.twins} & {*self.students}):
            raise ValueError(f"twins and students: both have {', '.join(twice)}; a name means one model")
        known = {"teacher", *trained}
        for name in self.export.models:
            if name not in known:
                raise ValueError(f"export.models: {name!r} is no student; {did_you_mean(name, known)}")
        baseline = self.report.baseline
        # Without a student of the default's name, nothing is compared; a name that was written must be there.
        if "baseline" in self.report.model_fields_set and baseline not in trained:
            raise ValueError(
                f"report.baseline: {baseline!r} is no student; {did_you_mean(baseline, trained)} "
                "(leave the key out for a report that compares with no twin)"
            )
        return self

    @property
    def trained(self) -> dict[str, StudentSettings]:
        """Every model that is trained beside the teacher: the twins, then the distilled students."""
        return {**self.twins, **self.students}

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
