"""All records of a run, read from where the stages wrote them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.deploy_records import (
    BackendRun,
    BenchmarkRecord,
    ComparisonRecord,
    EngineRecord,
    ExportRecord,
    PrecisionRecord,
)
from pipeline.detection_error_records import DetectionErrors
from pipeline.errors import PipelineError
from pipeline.layout import (
    CHOSEN,
    COMPARISON,
    DATASET_RECORD,
    DEVICE,
    TEACHER,
    origin_file,
    recipe_file,
    report_file,
    training_file,
)
from pipeline.operating_point_records import OperatingPoint
from pipeline.recipe_records import RecipeOrigin
from pipeline.records import DatasetRecord, DeviceRecord, EvaluationRecord, SplitRecord
from pipeline.settings import Params
from pipeline.shipping_records import ShippingChoice
from pipeline.training_records import TrainingRecord

Role = Literal["teacher", "baseline", "student"]


@dataclass(frozen=True)
class ModelResults:
    """Everything measured about one model.

    ``origin`` is that of its recipe. ``training`` is ``None`` for a teacher that was fetched; ``export`` and all below
    it are ``None`` for a model that ``params.yaml: export.models`` does not list.
    """

    name: str
    role: Role
    origin: RecipeOrigin
    evaluation: EvaluationRecord
    point: OperatingPoint
    errors: DetectionErrors
    training: TrainingRecord | None
    export: ExportRecord | None
    precision: PrecisionRecord | None
    engine: EngineRecord | None
    benchmark: BenchmarkRecord | None

    @property
    def ap(self) -> float | None:
        """COCO AP of the PyTorch model on the evaluated split, in points."""
        return self.evaluation.accuracy.numbers.ap

    @property
    def runs(self) -> list[BackendRun]:
        """The rungs below PyTorch, also those that did not run."""
        return self.benchmark.runs if self.benchmark else []


class Rung(NamedTuple):
    """A model's name and one rung of its ladder below PyTorch."""

    model: str
    run: BackendRun


@dataclass(frozen=True)
class Results:
    """All models of a run in the order in which the report shows them: teacher, baseline, the other students."""

    params: Params
    device: DeviceRecord
    dataset: DatasetRecord
    models: tuple[ModelResults, ...]
    comparison: ComparisonRecord
    chosen: ShippingChoice

    @property
    def teacher(self) -> ModelResults:
        return self.models[0]

    @property
    def baseline(self) -> ModelResults | None:
        """The twin that the other students are compared with, where one is trained."""
        return next((model for model in self.models if model.role == "baseline"), None)

    @property
    def students(self) -> tuple[ModelResults, ...]:
        """The students that are no baseline."""
        return tuple(model for model in self.models if model.role == "student")

    @property
    def main(self) -> ModelResults:
        """The model the headline is about: the student with the highest AP; the baseline where it is the only one."""
        candidates = self.students or self.models[1:]
        return max(candidates, key=lambda model: -1.0 if model.ap is None else model.ap)

    @property
    def rungs(self) -> list[Rung]:
        """Every rung of every model that ran here."""
        return [Rung(model.name, run) for model in self.models for run in model.runs if run.status == "ok"]

    @property
    def split_name(self) -> str:
        """The split that the models were evaluated on."""
        return self.teacher.evaluation.accuracy.split

    @property
    def split(self) -> SplitRecord:
        """What that split holds."""
        return self.dataset.splits[self.split_name]

    @property
    def is_measured_on_val(self) -> bool:
        """Whether the models were evaluated on the pictures that chose their weights."""
        return self.split.sha256 == self.dataset.splits["val"].sha256

    @property
    def artefact_images(self) -> int:
        """How many of the split's images the artefacts were run on for their mAP."""
        return next((model.benchmark.images for model in self.models if model.benchmark), self.split.images)

    @property
    def are_artefacts_on_part(self) -> bool:
        """Whether their mAP is that of a part of the split's images."""
        return self.artefact_images < self.split.images


def collect(params: Params, root: Path = Path()) -> Results:
    """Read every record of the run described by ``params`` under the project's ``root``.

    Raises:
        PipelineError: a record is missing, has another shape, or was measured on another data set or split than the
            teacher's; the message names the file and the stage that makes it anew.
    """
    names = sorted(params.trained, key=lambda name: name != params.report.baseline)
    models = tuple(_model(params, root, name) for name in (TEACHER, *names))
    dataset = DatasetRecord.read(root / DATASET_RECORD)
    _same_ground(models, dataset, root)
    device = DeviceRecord.read(root / DEVICE)
    comparison, chosen = ComparisonRecord.read(root / COMPARISON), ShippingChoice.read(root / CHOSEN)
    return Results(params, device, dataset, models, comparison, chosen)


def _model(params: Params, root: Path, name: str) -> ModelResults:
    role: Role = "teacher" if name == TEACHER else "baseline" if name == params.report.baseline else "student"
    training = root / training_file(name)
    is_shipped = name in params.export.models
    return ModelResults(
        name=name,
        role=role,
        origin=RecipeOrigin.read(root / origin_file(recipe_file(name))),
        evaluation=EvaluationRecord.read(root / report_file("evaluation", name)),
        point=OperatingPoint.read(root / report_file("operating_point", name)),
        errors=DetectionErrors.read(root / report_file("errors", name)),
        training=TrainingRecord.read(training) if role != TEACHER or training.exists() else None,
        export=ExportRecord.read(root / report_file("export", name)) if is_shipped else None,
        precision=PrecisionRecord.read(root / report_file("precision", name)) if is_shipped else None,
        engine=EngineRecord.read(root / report_file("engine", name)) if is_shipped else None,
        benchmark=BenchmarkRecord.read(root / report_file("benchmark", name)) if is_shipped else None,
    )


def _same_ground(models: tuple[ModelResults, ...], dataset: DatasetRecord, root: Path) -> None:
    reference = models[0].evaluation
    if reference.dataset != dataset.name or reference.accuracy.split not in dataset.splits:
        raise PipelineError(
            f"{root / report_file('evaluation', TEACHER)}: measured on {reference.dataset} "
            f"({reference.accuracy.split} split), but {root / DATASET_RECORD} holds {dataset.name} with the splits "
            f"{sorted(dataset.splits)}; run `dvc repro` to measure it anew"
        )
    for model in models[1:]:
        if _ground(model.evaluation) != _ground(reference):
            raise PipelineError(
                f"{root / report_file('evaluation', model.name)}: measured on {_describe(model.evaluation)}, the "
                f"teacher on {_describe(reference)}; numbers from different images cannot stand side by side, "
                "run `dvc repro`"
            )


def _ground(evaluation: EvaluationRecord) -> tuple[str, str, int, int]:
    accuracy = evaluation.accuracy
    return evaluation.dataset, accuracy.split, accuracy.images, accuracy.boxes


def _describe(evaluation: EvaluationRecord) -> str:
    dataset, split, images, boxes = _ground(evaluation)
    return f"{dataset} ({split} split, {images} images, {boxes} boxes)"
