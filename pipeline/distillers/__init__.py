"""Distillation methods and the distiller that runs them, independent of the detector."""

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors import DetectorKind, family_name, kind_of
from pipeline.distillers.crosskd import CrossKD
from pipeline.distillers.cskd.single_stage import CSKD
from pipeline.distillers.cskd.two_stage import TwoStageCSKD
from pipeline.distillers.distiller import Distiller
from pipeline.distillers.method import Method
from pipeline.distillers.method_settings import read_settings
from pipeline.distillers.pkd import PKD
from pipeline.distillers.schedule import WeightSchedule
from pipeline.errors import RecipeError, did_you_mean

__all__ = ["METHODS", "Distiller", "Method", "WeightSchedule", "build_methods", "build_schedule"]

METHODS: dict[str, dict[DetectorKind, type[Method]]] = {
    "CSKD": {DetectorKind.SINGLE_STAGE: CSKD, DetectorKind.TWO_STAGE: TwoStageCSKD},
    "CrossKD": {DetectorKind.SINGLE_STAGE: CrossKD},
    "PKD": dict.fromkeys(DetectorKind, PKD),
}
"""The form of each method for each kind of student. To register another method: add an entry."""


def build_methods(configs: list[dict[str, Any]], student: BaseDetector, teacher: BaseDetector) -> list[Method]:
    """Build the methods of a recipe's ``distillation.methods``.

    An argument that a recipe does not give is the published one of the student's family, or the method's own default
    where nothing was published for it. The random generators are left as they were, so that a student and its twin see
    the same data.

    Raises:
        RecipeError: an unknown method, an unknown argument or a wrong value, a method given twice or not written for
            the student's kind of detector, or a pair that does not fit.
    """
    methods: list[Method] = []
    for config in configs:
        arguments = dict(config)
        name = arguments.pop("type", None)
        form = _form(name, student)
        if any(type(method) is form for method in methods):
            raise RecipeError(f"distillation.methods: {name} is given twice; join the two into one")
        published = form.published.get(family_name(student), {})
        settings = read_settings(str(name), form.settings_class, published, arguments)
        with torch.random.fork_rng():
            methods.append(form(student, teacher, settings))
    return methods


def build_schedule(config: Mapping[str, Any]) -> WeightSchedule:
    """Build a recipe's ``distillation.schedule``; raises :class:`RecipeError` for an unknown key or a wrong order."""
    try:
        return WeightSchedule(**config)
    except TypeError as error:
        raise RecipeError(f"distillation.schedule does not take these keys: {error}") from error


def _form(name: Any, student: BaseDetector) -> type[Method]:
    if name not in METHODS:
        raise RecipeError(f"distillation.methods: unknown type {name!r}; {did_you_mean(name, METHODS)}")
    kind = kind_of(student)
    if kind not in METHODS[name]:
        fitting = sorted(other for other, forms in METHODS.items() if kind in forms)
        raise RecipeError(
            f"distillation.methods: {name} is not written for the student's kind of detector ({kind}), a "
            f"{type(student).__name__}; choose of {fitting}"
        )
    return METHODS[name][kind]
