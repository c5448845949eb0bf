"""Checks before the first iteration of a single-stage pair; see :mod:`pipeline.distillers.preflight`."""

from collections.abc import Sequence

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors import Family, dense_head, family_of
from pipeline.distillers.preflight import differ, differ_in_width, refuse, single_stage_findings, tower_widths
from pipeline.errors import RecipeError

BranchConvs = str | Sequence[Sequence[int]]


def check_cskd(
    student: BaseDetector, teacher: BaseDetector, branch_convs: BranchConvs, adapts_neck: bool, adapts_branches: bool
) -> None:
    """Whether FPN outputs, tower features and predictions of the two can be compared.

    Raises:
        RecipeError: lists every mismatch with both sides and what to change.
    """
    findings = single_stage_findings(student, teacher, "CSKD")
    heads, family = [dense_head(detector) for detector in (student, teacher)], family_of(teacher)
    for unit in family.reg_units:
        unit_s, unit_t = (getattr(head, unit) for head in heads)
        findings += differ(unit, unit_s, unit_t, f"set the same {unit} in both heads")
    if not adapts_neck:
        widths_s, widths_t = ({"features": int(head.in_channels)} for head in heads)
        findings += differ_in_width("FPN", widths_s, widths_t, "CSKD", "neck_adapt")
    for branch in family.towers(heads[0], 0):
        try:
            pairs = tower_pairs(student, teacher, family, branch, branch_convs)
        except RecipeError as error:
            findings.append(str(error))
            break
        for number_s, number_t in pairs if not adapts_branches else []:
            widths_s, widths_t = (
                {branch: tower_widths(detector, family, number)[branch]}
                for detector, number in ((student, number_s), (teacher, number_t))
            )
            findings += differ_in_width(f"{branch} tower", widths_s, widths_t, "CSKD", "branch_adapt")
    refuse("CSKD", findings)


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
    depth_s, depth_t = (len(family.towers(dense_head(detector), 0)[branch]) for detector in (student, teacher))
    if convs == "last":
        return [(depth_s, depth_t)]
    if convs == "all":
        if depth_s != depth_t:
            raise RecipeError(
                f"stacked_convs of the student is {depth_s}, of the teacher {depth_t}; compare the last ones "
                "with branch_convs='last', give pairs as [[2, 4]], or set the same stacked_convs in both heads"
            )
        return [(number, number) for number in range(1, depth_s + 1)]
    pairs = [] if isinstance(convs, str) else [tuple(pair) for pair in convs]
    if not pairs or not all(len(pair) == 2 and 1 <= pair[0] <= depth_s and 1 <= pair[1] <= depth_t for pair in pairs):
        raise RecipeError(
            f"branch_convs is {convs!r}; give 'all', 'last', or pairs of a student's convolution (1 to "
            f"{depth_s}) and a teacher's (1 to {depth_t})"
        )
    return [(int(first), int(second)) for first, second in pairs]
