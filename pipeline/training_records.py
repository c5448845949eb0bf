"""How a detector was trained, as its training stage records it."""

from pipeline.label_records import LabelRecord
from pipeline.records import Record


class TrainingPoint(Record):
    """One logged training step: mean losses since the last point."""

    iteration: int
    learning_rate: float
    losses: dict[str, float]


class ValidationPoint(Record):
    """mAP on the val split during training, in points."""

    iteration: int
    ap: float | None


class SeenImages(Record):
    """How many of the train split's ``images`` training sees; ``left_out`` counts the others by the recipe's option."""

    seen: int
    images: int
    left_out: dict[str, int]


class InitRecord(Record):
    """What of another detector's weights a training started from (``init``).

    Of the model's ``tensors``, ``transferred`` were taken over whole, ``refitted`` by the names of the ``classes``, and
    ``new`` kept the model's own initialisation, as the rows of ``new_classes`` did. ``left`` are the file's.
    """

    sha256: str
    tensors: int
    transferred: int
    refitted: list[str]
    new: list[str]
    left: list[str]
    classes: list[str]
    new_classes: list[str]


class EarlyStop(Record):
    """Why a training ended before its schedule: AP on val did not rise by ``min_delta`` in ``patience`` validations.

    After ``iteration`` the learning rate went down to the schedule's end, in the last iterations that were trained.
    """

    patience: int
    min_delta: float
    iteration: int

    @property
    def reason(self) -> str:
        """The same in words."""
        gain = f"by {self.min_delta:g} points " if self.min_delta else ""
        return f"AP on the val split did not rise {gain}in {self.patience} validation{'s' * (self.patience > 1)}"


class UsedLabels(Record):
    """Pictures with pseudo-labels in a training: ``ratio`` of them for each labelled one."""

    ratio: float
    labels: LabelRecord


class TrainingRecord(Record):
    """How a detector was trained; ``best_iteration`` is the val-chosen checkpoint that was kept.

    ``iterations`` were trained of the schedule's ``planned_iterations``, all of them unless it was ``stopped`` early.
    ``batch_size`` counts the images of all processes; memory is that of the first process. ``images`` and
    ``planned_iterations`` are none where the training was recorded before they were counted, and ``init`` where it
    started from no other detector. ``pseudo_labels`` are what pictures without boxes gave.
    """

    model: str
    method: str
    init: InitRecord | None = None
    pseudo_labels: UsedLabels | None = None
    iterations: int
    planned_iterations: int | None = None
    stopped: EarlyStop | None = None
    batch_size: int
    images: SeenImages | None = None
    processes: int = 1
    best_iteration: int
    best_val_ap: float | None
    seconds: float
    images_per_second: float
    peak_memory_bytes: int
    device: str
    precision: str
    resumed: int
    points: list[TrainingPoint]
    validation: list[ValidationPoint]
