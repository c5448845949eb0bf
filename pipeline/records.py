"""Typed results: what a stage measured is one record, written as JSON, read by the report and by DVC metrics.

Accuracies are COCO points (0 to 100; ``nan`` is stored as null where a number does not exist), times are
milliseconds, sizes are bytes, boxes are pixels of the original image.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from deploy.runtime.text_files import MissingText, UnreadableText, read_text
from pipeline.errors import PipelineError
from pipeline.storage import write_atomic

_LISTED_LINES = 60


class Record(BaseModel):
    """Base of all records: strict fields, JSON in and out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def write(self, path: Path) -> None:
        """Write the record as indented JSON in one atomic step."""
        write_atomic(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record; raises :class:`PipelineError` naming the file when it is missing or of another shape."""
        try:
            return cls.model_validate_json(read_text(path))
        except MissingText as error:
            raise PipelineError(f"{path}: no such record; run the stage that writes it (dvc repro)") from error
        except UnreadableText as error:
            raise PipelineError(f"{path}: {error}; run `dvc repro` to make it anew") from error
        except ValidationError as error:
            raise PipelineError(
                f"{path}: not a {cls.__name__}; run `dvc repro` to make it anew\n{_beginning(str(error))}"
            ) from error


def _beginning(text: str) -> str:
    """The first lines, where there are many more."""
    lines = text.splitlines()
    more = len(lines) - _LISTED_LINES
    return "\n".join([*lines[:_LISTED_LINES], f"  and {more} more lines"] if more > 0 else lines)


class DeviceRecord(Record):
    """What this machine is; no time stamps, so that equal machines give equal files."""

    cpu: str
    architecture: str
    instruction_sets: list[str]
    cores: int
    memory_bytes: int
    gpu: str | None
    gpu_memory_bytes: int | None
    driver: str | None
    operating_system: str
    python: str
    libraries: dict[str, str]


Severity = Literal["error", "warning"]


class FindingGroup(Record):
    """What validation found of one kind about one file: how many, and the first few as ``<item>: <message>``."""

    severity: Severity
    file: str
    kind: str
    count: int
    examples: list[str]


class SplitRecord(Record):
    """One split: COCO json beside the record, and the folder its ``file_name`` entries are relative to."""

    annotations: str
    image_root: str
    sha256: str
    images: int
    boxes: int
    crowd_boxes: int
    images_without_boxes: int
    boxes_per_class: dict[str, int]


class MadeSplits(Record):
    """How val, and test where ``test`` is a number, were taken from train (``data.*.splits``).

    ``own_val_is_test``: the data set has a val, which is test here. ``groups`` of images, most of one, were kept whole.
    """

    seed: int
    val: float
    test: float | None
    group_by: dict[str, str] | None
    near_duplicates: str
    own_val_is_test: bool = False
    groups: int
    largest_group: int


class DatasetRecord(Record):
    """A prepared data set: ``dataset.json`` of the data stage. ``composed`` marks synthetic compositions.

    ``splits`` has train, val, which chooses, and test where there is one; ``made_splits`` is none where none was made.
    ``unlabelled`` are the pictures without boxes, where ``data`` names some; its ``file_name`` entries are relative to
    the folder of the record. Without them the file has no such key, and is as it was before there was one.
    """

    name: str
    title: str
    composed: bool
    classes: list[str]
    splits: dict[str, SplitRecord]
    credits: list[str]
    made_splits: MadeSplits | None = None
    unlabelled: SplitRecord | None = None
    findings: list[FindingGroup]

    @model_serializer(mode="wrap")
    def _without_an_empty_key(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = write(self)
        if self.unlabelled is None:
            del content["unlabelled"]
        return content


class CocoNumbers(Record):
    """The 12 COCO numbers in points; null where the ground truth has no box of that kind."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None


class ClassNumbers(Record):
    """Accuracy and counts of one class; ``boxes`` are those that count (no crowd boxes)."""

    name: str
    ap: float | None
    ap50: float | None
    boxes: int
    detections: int


class PrecisionRecallCurve(Record):
    """Precision at the 101 COCO recall points, averaged over the classes that have boxes.

    ``iou`` null is the mean over the ten IoU thresholds 0.50:0.95.
    """

    iou: float | None
    recall: list[float]
    precision: list[float]


class Interval(Record):
    """A two-sided interval of ``confidence`` (0 to 1)."""

    low: float
    high: float
    confidence: float


class Bootstrap(Record):
    """mAP of resamples of the images; two records with equal seed, split and images can be paired sample by sample.

    ``measured`` is the mAP of all images, which the interval lies around; ``jackknife`` the mAP without each of up to
    50 groups of them.
    """

    seed: int
    images: int
    measured: float
    ap: list[float | None]
    jackknife: list[float | None]
    interval: Interval


class Difference(Record):
    """Difference of two models' measured mAP, in points, and its interval, paired over the same resamples."""

    measured: float
    interval: Interval


class AccuracyRecord(Record):
    """What the one evaluator says about one set of detections on one split."""

    split: str
    images: int
    boxes: int
    numbers: CocoNumbers
    classes: list[ClassNumbers]
    curves: list[PrecisionRecallCurve]
    bootstrap: Bootstrap | None


class Complexity(Record):
    """Size of a detector. FLOPs are for one image of ``input_size`` (height, width); a multiply-add counts as two.

    They are None where no way through the detector's network alone is known.
    """

    parameters: int
    flops: int | None
    input_size: tuple[int, int]


class EvaluationRecord(Record):
    """Accuracy of a PyTorch model: the first rung of the ladder."""

    model: str
    recipe: str
    dataset: str
    method: str
    weights_sha256: str
    published_ap: float | None
    complexity: Complexity
    accuracy: AccuracyRecord
