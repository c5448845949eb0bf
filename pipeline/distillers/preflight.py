"""Checks before the first iteration: do teacher and student fit together for a method?

Without them a mismatch trains silently on something else (a level cut off, boxes of other anchors), or fails deep
inside a loss.
"""

from collections.abc import Callable
from typing import Any

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors import Family, dense_head, family_of, pyramid_of
from pipeline.distillers.level_pairs import LevelPair, WantedPairs, pair_levels
from pipeline.errors import RecipeError

_EQUAL: list[tuple[str, Callable[[Any], Any], str]] = [
    ("num_classes", lambda head: head.num_classes, "train or fetch a teacher for the same classes"),
    (
        "number of anchors per location",
        lambda head: list(head.prior_generator.num_base_priors),
        "set the same anchor_generator in both heads",
    ),
    ("anchors", lambda head: _anchors(head.prior_generator), "set the same anchor_generator in both heads"),
    ("reg_max", lambda head: getattr(head, "reg_max", None), "set the same reg_max in both heads"),
    (
        "box coder",
        lambda head: (type(head.bbox_coder).__name__, vars(head.bbox_coder)) if hasattr(head, "bbox_coder") else None,
        "set the same bbox_coder in both heads",
    ),
]


def check_features(
    student: BaseDetector, teacher: BaseDetector, wanted: WantedPairs, adapter: bool, method: str
) -> list[LevelPair]:
    """The FPN outputs of the two that are compared with each other.

    Args:
        wanted: as :func:`pair_levels`.
        adapter: whether widths may differ.
        method: named in errors.

    Raises:
        RecipeError: lists every mismatch with both sides and what to change.
    """
    pairs, findings = pair_levels(pyramid_of(student), pyramid_of(teacher), wanted)
    findings += _classes(student, teacher)
    if not adapter:
        by_level = [({"features": pair.student.width}, {"features": pair.teacher.width}) for pair in pairs]
        widths = [differ_in_width("FPN", width_s, width_t, method, "adapter") for width_s, width_t in by_level]
        findings += dict.fromkeys(found for level in widths for found in level)
    refuse(method, findings)
    return pairs


def tower_widths(detector: BaseDetector, family: Family, index: int) -> dict[str, int]:
    """Channels that each branch has after ``index`` tower convolutions; 0 is the FPN output."""
    head = dense_head(detector)
    return {
        branch: int(tower[index - 1].out_channels if index else head.in_channels)
        for branch, tower in family.towers(head, 0).items()
    }


def single_stage_findings(student: BaseDetector, teacher: BaseDetector, method: str) -> list[str]:
    """:func:`dense_findings` of two single-stage detectors, for a method that goes through their heads layer by layer.

    Raises:
        RecipeError: the heads are of two families, or one of them cannot be gone through.
    """
    findings = dense_findings(student, teacher, method)
    obstacles = [
        f"the {who}'s head ({type(head).__name__}) is not gone through layer by layer: {obstacle}"
        for who, detector in (("student", student), ("teacher", teacher))
        for head in (dense_head(detector),)
        for obstacle in family_of(detector).obstacles(head)
    ]
    if obstacles:
        refuse(method, [*findings, *obstacles])
    return findings


def dense_findings(student: BaseDetector, teacher: BaseDetector, method: str) -> list[str]:
    """Why the raw predictions of the two heads on the FPN cannot be compared, cell by cell.

    Raises:
        RecipeError: the heads are of two families.
    """
    head_s, head_t = dense_head(student), dense_head(teacher)
    if type(head_s) is not type(head_t):
        types = f"the student's head is {type(head_s).__name__}, the teacher's {type(head_t).__name__}"
        refuse(method, [f"{types}; choose a teacher of the student's detector family"])
    findings = [*_levels(student, teacher), *_classes(student, teacher)]
    findings += [found for what, read, cure in _EQUAL for found in differ(what, read(head_s), read(head_t), cure)]
    findings += [
        f"{who}'s head classifies by softmax; only loss_cls.use_sigmoid=True can be distilled"
        for who, head in (("student", head_s), ("teacher", head_t))
        if not head.use_sigmoid_cls
    ]
    return findings


def refuse(method: str, findings: list[str]) -> None:
    """Raise :class:`RecipeError` with all findings, if there are any."""
    if findings:
        raise RecipeError("\n".join(f"distillation.methods: {method}: {finding}" for finding in findings))


def differ(what: str, student: Any, teacher: Any, cure: str) -> list[str]:
    """A finding if two values are not equal."""
    return [] if student == teacher else [f"{what} of the student is {student}, of the teacher {teacher}; {cure}"]


def differ_in_width(what: str, student: dict[str, int], teacher: dict[str, int], method: str, switch: str) -> list[str]:
    """A finding if two maps, or those of a branch, have different numbers of channels; ``switch`` adapts them."""
    if student == teacher:
        return []
    branch = next(name for name in student if student[name] != teacher[name])
    cure = f"set `{switch}=True` in the recipe's {method} method, or make the widths equal"
    return [f"the student's {what} is {student[branch]} channels wide and the teacher's {teacher[branch]}; {cure}"]


def _levels(student: BaseDetector, teacher: BaseDetector) -> list[str]:
    strides_s, strides_t = (
        [int(stride[0]) for stride in dense_head(detector).prior_generator.strides] for detector in (student, teacher)
    )
    if len(strides_s) != len(strides_t):
        cure = "set neck.num_outs and the head's strides to the same levels in both"
        return differ("number of levels", len(strides_s), len(strides_t), cure)
    return differ("strides", strides_s, strides_t, "give both heads (and necks) the same strides")


def _classes(student: BaseDetector, teacher: BaseDetector) -> list[str]:
    # mmdet's own attribute; a detector that was built from a model's configuration alone has none.
    names_s, names_t = (
        list(getattr(detector, "dataset_meta", {}).get("classes", [])) for detector in (student, teacher)
    )
    if not names_s or not names_t:
        return []
    if sorted(names_s) == sorted(names_t):
        cure = "order the student's classes as the teacher's, or choose a teacher that was trained in this order"
    else:
        cure = "choose a teacher that was trained for the student's classes"
    return differ("classes", names_s, names_t, cure)


def _anchors(generator: Any) -> Any:
    if hasattr(generator, "base_anchors"):
        return {"sizes": list(generator.base_sizes), "first": generator.base_anchors[0].tolist()}
    return {"offset": generator.offset}
