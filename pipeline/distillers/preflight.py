"""Checks before the first iteration: do teacher and student fit together for a method?

Without them a mismatch trains silently on something else (a level cut off, boxes of other anchors), or fails deep
inside a loss.
"""

from collections.abc import Callable, Sequence
from typing import Any

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors import Family, dense_head, family_of
from pipeline.errors import RecipeError

BranchConvs = str | Sequence[Sequence[int]]

_TELL: list[tuple[str, Callable[[Any], Any], str]] = [
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
        lambda head: (type(head.bbox_coder).__name__, vars(head.bbox_coder)),
        "set the same bbox_coder in both heads",
    ),
]


def check_crosskd(student: BaseDetector, teacher: BaseDetector, index: int, adapter: bool) -> None:
    """Whether the student's feature after tower convolution ``index`` can go on in the teacher's head.

    Raises:
        RecipeError: lists every mismatch with both sides and what to change.
    """
    findings = dense_findings(student, teacher, "CrossKD")
    mine, known = student.bbox_head, teacher.bbox_head
    family = family_of(teacher)
    depths = [
        found for who, head in (("student", mine), ("teacher", known)) for found in _depth(who, head, family, index)
    ]
    findings += depths
    if not depths and not adapter:
        mine_wide, known_wide = (tower_widths(detector, family, index) for detector in (student, teacher))
        findings += _widths("head", mine_wide, known_wide, "CrossKD", "adapter")
    refuse("CrossKD", findings)


def check_cskd(
    student: BaseDetector, teacher: BaseDetector, branch_convs: BranchConvs, adapts_neck: bool, adapts_branches: bool
) -> None:
    """Whether FPN outputs, tower features and predictions of the two can be compared.

    Raises:
        RecipeError: lists every mismatch with both sides and what to change.
    """
    findings = dense_findings(student, teacher, "CSKD")
    mine, known = student.bbox_head, teacher.bbox_head
    family = family_of(teacher)
    units = [getattr(head, "norm_on_bbox", None) for head in (mine, known)]
    findings += differ("norm_on_bbox", units[0], units[1], "set the same norm_on_bbox in both heads")
    if not adapts_neck:
        mine_wide, known_wide = ({"features": int(head.in_channels)} for head in (mine, known))
        findings += _widths("FPN", mine_wide, known_wide, "CSKD", "neck_adapt")
    for branch in family.towers(mine):
        try:
            pairs = tower_pairs(student, teacher, family, branch, branch_convs)
        except RecipeError as error:
            findings.append(str(error).removeprefix("CSKD: "))
            break
        for first, second in pairs if not adapts_branches else []:
            mine_wide, known_wide = (
                {branch: tower_widths(detector, family, index)[branch]}
                for detector, index in ((student, first), (teacher, second))
            )
            findings += _widths(f"{branch} tower", mine_wide, known_wide, "CSKD", "branch_adapt")
    refuse("CSKD", findings)


def check_features(student: BaseDetector, teacher: BaseDetector, adapter: bool, method: str) -> None:
    """Whether the two FPNs' outputs can be compared level by level.

    Raises:
        RecipeError: lists every mismatch with both sides and what to change.
    """
    findings = [*_levels(student, teacher), *_images(student, teacher), *_classes(student, teacher)]
    if not adapter:
        mine, known = ({"features": int(dense_head(detector).in_channels)} for detector in (student, teacher))
        findings += _widths("FPN", mine, known, method, "adapter")
    refuse(method, findings)


def tower_pairs(
    student: BaseDetector, teacher: BaseDetector, family: Family, branch: str, convs: BranchConvs
) -> list[tuple[int, int]]:
    """Which tower convolutions are compared: 1-based numbers, the student's first.

    Args:
        student, teacher: of one family.
        family: its adapter.
        branch: of the towers.
        convs: ``all`` (one by one), ``last``, or the pairs themselves.

    Raises:
        RecipeError: ``all`` for towers of two depths, a number that the tower does not have, or another word.
    """
    mine, known = (len(family.towers(detector.bbox_head)[branch]) for detector in (student, teacher))
    if convs == "last":
        return [(mine, known)]
    if convs == "all":
        if mine != known:
            raise RecipeError(
                f"CSKD: stacked_convs of the student is {mine}, of the teacher {known}; compare the last ones with "
                "branch_convs='last', give pairs as [[2, 4]], or set the same stacked_convs in both heads"
            )
        return [(number, number) for number in range(1, mine + 1)]
    pairs = [] if isinstance(convs, str) else [tuple(pair) for pair in convs]
    if not pairs or not all(len(pair) == 2 and 1 <= pair[0] <= mine and 1 <= pair[1] <= known for pair in pairs):
        raise RecipeError(
            f"CSKD: branch_convs is {convs!r}; give 'all', 'last', or pairs of a student's convolution (1 to {mine}) "
            f"and a teacher's (1 to {known})"
        )
    return [(int(first), int(second)) for first, second in pairs]


def tower_widths(detector: BaseDetector, family: Family, index: int) -> dict[str, int]:
    """Channels that each branch has after ``index`` tower convolutions; 0 is the FPN output."""
    head = detector.bbox_head
    return {
        branch: int(tower[index - 1].out_channels if index else head.in_channels)
        for branch, tower in family.towers(head).items()
    }


def dense_findings(student: BaseDetector, teacher: BaseDetector, method: str) -> list[str]:
    """Why the raw predictions of the two heads on the FPN cannot be compared, cell by cell.

    Raises:
        RecipeError: the heads are of two families.
    """
    mine, known = dense_head(student), dense_head(teacher)
    if type(mine) is not type(known):
        raise RecipeError(
            f"{method}: the student's head is {type(mine).__name__}, the teacher's {type(known).__name__}; "
            "choose a teacher of the student's detector family"
        )
    findings = [*_levels(student, teacher), *_images(student, teacher), *_classes(student, teacher)]
    findings += [found for what, tell, cure in _TELL for found in differ(what, tell(mine), tell(known), cure)]
    findings += [
        f"{who}'s head classifies by softmax; only loss_cls.use_sigmoid=True can be distilled"
        for who, head in (("student", mine), ("teacher", known))
        if not head.use_sigmoid_cls
    ]
    return findings


def refuse(method: str, findings: list[str]) -> None:
    """Raise :class:`RecipeError` with all findings, if there are any."""
    if findings:
        raise RecipeError("\n".join(f"{method}: {finding}" for finding in findings))


def differ(what: str, mine: Any, known: Any, cure: str) -> list[str]:
    """A finding if two values are not equal."""
    return [] if mine == known else [f"{what} of the student is {mine}, of the teacher {known}; {cure}"]


def _levels(student: BaseDetector, teacher: BaseDetector) -> list[str]:
    mine, known = ([tuple(stride) for stride in dense_head(d).prior_generator.strides] for d in (student, teacher))
    if len(mine) != len(known):
        cure = "set neck.num_outs and the head's strides to the same levels in both"
        return differ("number of levels", len(mine), len(known), cure)
    mine_strides, known_strides = ([stride[0] for stride in strides] for strides in (mine, known))
    return differ("strides", mine_strides, known_strides, "give both heads (and necks) the same strides")


def _classes(student: BaseDetector, teacher: BaseDetector) -> list[str]:
    # mmdet's own attribute; a detector that was built from a model's configuration alone has none.
    mine, known = (list(getattr(detector, "dataset_meta", {}).get("classes", [])) for detector in (student, teacher))
    if not mine or not known or mine == known:
        return []
    if sorted(mine) == sorted(known):
        cure = "order the student's classes as the teacher's, or choose a teacher that was trained in this order"
    else:
        cure = "choose a teacher that was trained for the student's classes"
    return differ("classes", mine, known, cure)


def _images(student: BaseDetector, teacher: BaseDetector) -> list[str]:
    # The teacher is shown the images that the student's preprocessor has normalised.
    mine, known = (_normalisation(detector.data_preprocessor) for detector in (student, teacher))
    return [
        found
        for key in ("mean", "std", "channels")
        for found in differ(
            f"image normalisation ({key})",
            mine[key],
            known[key],
            "the teacher sees the student's images: give the student's data_preprocessor the teacher's "
            "mean, std and bgr_to_rgb",
        )
    ]


def _normalisation(preprocessor: Any) -> dict[str, Any]:
    normalises = getattr(preprocessor, "_enable_normalize", False)
    swapped = getattr(preprocessor, "_channel_conversion", False)
    return {
        "mean": [round(value, 4) for value in preprocessor.mean.flatten().tolist()] if normalises else None,
        "std": [round(value, 4) for value in preprocessor.std.flatten().tolist()] if normalises else None,
        "channels": "swapped (bgr_to_rgb)" if swapped else "as read (BGR)",
    }


def _anchors(generator: Any) -> Any:
    if hasattr(generator, "base_anchors"):
        return {"sizes": list(generator.base_sizes), "first": generator.base_anchors[0].tolist()}
    return {"offset": generator.offset}


def _depth(who: str, head: Any, family: Family, index: int) -> list[str]:
    depth = min(len(tower) for tower in family.towers(head).values())
    if 0 <= index <= depth:
        return []
    return [f"reused_head_index is {index}, but the {who}'s towers have {depth} convolutions; choose 0 to {depth}"]


def _widths(what: str, mine: dict[str, int], known: dict[str, int], method: str, switch: str) -> list[str]:
    if mine == known:
        return []
    branch = next(name for name in mine if mine[name] != known[name])
    cure = f"set `{switch}=True` in the recipe's {method} method, or make the widths equal"
    return [f"the student's {what} is {mine[branch]} channels wide and the teacher's {known[branch]}; {cure}"]
