"""What is said of trainings that are not like the others: cut short, or on pictures without boxes."""

from pipeline.label_records import LabelRecord
from pipeline.layout import TEACHER
from pipeline.report import formats
from pipeline.report.collect import Results
from pipeline.training_records import TrainingRecord


def length_of(training: TrainingRecord) -> str:
    """The iterations of a training, and those that were planned where they are more."""
    trained = formats.count(training.iterations)
    return f"{trained} of {formats.count(training.planned_iterations)}" if training.stopped else trained


def early_stopping_definition(results: Results) -> dict[str, str]:
    """Which trainings were cut short, and why; nothing where none was."""
    stopped = [
        f"{model.name} after {length_of(model.training)} iterations, of which those after "
        f"{formats.count(model.training.stopped.iteration)} took the learning rate down to its end, as "
        f"{model.training.stopped.reason}"
        for model in results.models
        if model.training and model.training.stopped
    ]
    if not stopped:
        return {}
    return {
        "Early stopping": (
            f"{'; '.join(stopped)}. So models here were not trained for one length: a gain is one between trainings "
            "of the lengths that stand here, not one of equal budgets."
        )
    }


def pseudo_label_definition(results: Results) -> dict[str, str]:
    """Which students learned from pictures without boxes, and what gave these some; nothing where none did."""
    told = [
        (model.name, model.training.pseudo_labels)
        for model in results.models
        if model.training and model.training.pseudo_labels
    ]
    if not told:
        return {}
    label = told[0][1].labels
    mixed = "; ".join(f"{name} {formats.rate(used.ratio)}" for name, used in told)
    return {
        "Pseudo-labels": (
            f"{', '.join(name for name, _ in told)} learned from {formats.count(label.images)} pictures without boxes "
            f"too, labelled by {labelled_by(label)}. So many of them came for each labelled picture, in as many "
            f"iterations as without: {mixed}. What was found is a box from the score on that has the best F1 for its "
            f"class on val ({_thresholds(label)}). A box counts its score in the student’s own losses; what lies in "
            f"one of less, down to {formats.small(label.least_score)}, counts nothing."
        )
    }


def labelled_by(label: LabelRecord) -> str:
    """What gave pictures without boxes some, for within a sentence."""
    name = "the teacher" if label.by == TEACHER else label.by
    return f"{name}, which saw each mirrored too" if label.flip else f"{name}"


def _thresholds(label: LabelRecord) -> str:
    return ", ".join(
        f"{each.name}: {'never' if each.threshold is None else formats.small(each.threshold)}" for each in label.classes
    )
