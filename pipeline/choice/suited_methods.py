"""How a method distils one detector from another: its published settings, and what the widths of the two ask for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors import FAMILIES, DetectorKind, dense_head, family_name, family_of, flow_of, kind_of, pyramid_of
from pipeline.distillers import build_methods
from pipeline.distillers.crosskd import CrossKD, CrossKDSettings
from pipeline.distillers.level_pairs import pair_levels
from pipeline.distillers.preflight import tower_widths
from pipeline.errors import RecipeError, SettingsError, did_you_mean

OWN_METHODS = {"crosskd": ("CrossKD",), "crosskd_pkd": ("CrossKD", "PKD"), "cskd": ("CSKD",), "pkd": ("PKD",)}
"""What METHODS= may name, with the methods of its recipe."""
_SUPPORTED = f"{', '.join(family.name for family in FAMILIES.values())} with mmdet's own heads, and Faster R-CNN"


def check_supported(detector: BaseDetector, path: object) -> None:
    """Whether this project distils a detector's predictions and ships it.

    Raises:
        RecipeError: its family has no adapter; names those that have one.
    """
    try:
        if flow_of(detector).knows_head:
            return
        reason = f"{type(detector).__name__} ({family_name(detector)}) has no adapter here"
    except RecipeError as error:
        reason = str(error)
    raise RecipeError(
        f"{path}: {reason}\nSuch a detector cannot be shipped, so that no recipes are written for it; supported are "
        f"{_SUPPORTED}. A new family is an adapter in pipeline/detectors and a decoder in deploy/graph/decoding.py. "
        "By recipes of your own any detector of mmdet's is trained alone and distilled by PKD (docs/recipes.md)"
    )


def check_methods(asked: Sequence[str]) -> None:
    """Raises :class:`SettingsError` for what is no method."""
    for name in asked:
        if name not in OWN_METHODS:
            raise SettingsError(f"METHODS={name}: no method; {did_you_mean(name, OWN_METHODS)}")


def method_names(asked: tuple[str, ...], student: BaseDetector) -> tuple[str, ...]:
    """The methods that were asked for, or the one that suits a kind of detector.

    Raises:
        SettingsError: there is no such method.
    """
    check_methods(asked)
    if kind_of(student) is DetectorKind.TWO_STAGE:
        return asked or ("cskd",)
    return asked or (("crosskd",) if _is_gone_through(student) else ("pkd",))


def method_configs(name: str, student: BaseDetector, teacher: BaseDetector) -> list[dict[str, Any]]:
    """``distillation.methods`` of a recipe for a pair: what was published for the family, made to fit the two.

    Args:
        name: of ``OWN_METHODS``.
        student, teacher: stock detectors.

    Raises:
        RecipeError: the pair does not fit; lists every mismatch with what to change.
    """
    configs = [fitted(method, student, teacher) for method in OWN_METHODS[name]]
    build_methods(configs, student, teacher)
    return configs


def fitted(method: str, student: BaseDetector, teacher: BaseDetector) -> dict[str, Any]:
    """The entry of ``distillation.methods`` for one method, with what the widths and depths of the two ask for."""
    return {"type": method, **_FITTED[method](student, teacher)}


def _crosskd(student: BaseDetector, teacher: BaseDetector) -> dict[str, Any]:
    """Where the student's towers are too short for the published place, the last but one of their convolutions."""
    if not _same_towers(student, teacher):
        return {}
    family = family_of(student)
    published = CrossKD.published.get(family_name(student), {})
    usual = int(published.get("reused_head_index", CrossKDSettings().reused_head_index))
    index = min(usual, max(0, min(*_depths(student), *_depths(teacher)) - 1))
    fitted: dict[str, Any] = {} if index == usual else {"reused_head_index": index}
    if tower_widths(student, family, index) != tower_widths(teacher, family, index):
        fitted["adapter"] = True
    return fitted


def _cskd(student: BaseDetector, teacher: BaseDetector) -> dict[str, Any]:
    if not _same_towers(student, teacher):
        return {}
    family = family_of(student)
    depths_s, depths_t = _depths(student), _depths(teacher)
    fitted: dict[str, Any] = {} if depths_s == depths_t else {"branch_convs": "last"}
    if tower_widths(student, family, min(depths_s)) != tower_widths(teacher, family, min(depths_t)):
        fitted["branch_adapt"] = True
    return fitted


def _pkd(student: BaseDetector, teacher: BaseDetector) -> dict[str, Any]:
    pairs, _ = pair_levels(pyramid_of(student), pyramid_of(teacher), None)
    return {"adapter": True} if any(pair.student.width != pair.teacher.width for pair in pairs) else {}


_FITTED: Mapping[str, Callable[[BaseDetector, BaseDetector], dict[str, Any]]] = {
    "CrossKD": _crosskd,
    "CSKD": _cskd,
    "PKD": _pkd,
}


def _same_towers(student: BaseDetector, teacher: BaseDetector) -> bool:
    """Whether both heads have towers, and of one family; where they differ, the method's own check says so."""
    kinds = {kind_of(student), kind_of(teacher)}
    are_alike = kinds == {DetectorKind.SINGLE_STAGE} and family_name(student) == family_name(teacher)
    return are_alike and _is_gone_through(student)


def _is_gone_through(detector: BaseDetector) -> bool:
    return not family_of(detector).obstacles(dense_head(detector))


def _depths(detector: BaseDetector) -> list[int]:
    return [len(tower) for tower in family_of(detector).towers(dense_head(detector), 0).values()]
