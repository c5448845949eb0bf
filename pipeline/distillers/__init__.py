"""Distillation methods and the distiller that runs them, independent of the detector."""

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors import is_two_stage
from pipeline.distillers.crosskd import CrossKD
from pipeline.distillers.cskd.single_stage import CSKD
from pipeline.distillers.cskd.two_stage import TwoStageCSKD
from pipeline.distillers.distiller import Distiller
from pipeline.distillers.method import Method
from pipeline.distillers.pkd import PKD
from pipeline.distillers.schedule import WeightSchedule
from pipeline.errors import RecipeError

__all__ = ["METHODS", "TWO_STAGE_METHODS", "Distiller", "Method", "WeightSchedule", "build_methods", "build_schedule"]

METHODS: dict[str, type[Method]] = {"CSKD": CSKD, "CrossKD": CrossKD, "PKD": PKD}
TWO_STAGE_METHODS: dict[str, type[Method]] = {"CSKD": TwoStageCSKD, "PKD": PKD}
"""The forms of the methods for a student with a second stage."""


def build_methods(configs: list[dict[str, Any]], student: BaseDetector, teacher: BaseDetector) -> list[Method]:
    """Build the methods of a recipe's ``distillation.methods``.

    The random generators are left as they were, so that a student and its twin see the same data.

    Raises:
        RecipeError: an unknown method or argument, a method given twice or not written for the student's kind of
            detector, or a pair that does not fit.
    """
    forms = TWO_STAGE_METHODS if is_two_stage(student) else METHODS
    methods: list[Method] = []
    for config in configs:
        arguments = dict(config)
        name = arguments.pop("type", None)
        if name not in METHODS:
            raise RecipeError(f"distillation.methods: unknown type {name!r}; known: {sorted(METHODS)}")
        if name not in forms:
            raise RecipeError(
                f"distillation.methods: {name} is written for a dense head, which a {type(student).__name__} has not; "
                f"choose of {sorted(forms)}"
            )
        if any(type(method) is forms[name] for method in methods):
            raise RecipeError(f"distillation.methods: {name} is given twice; join the two into one")
        with torch.random.fork_rng():
            try:
                methods.append(forms[name](student, teacher, **arguments))
            except TypeError as error:
                raise RecipeError(f"distillation.methods: {name} does not take these arguments: {error}") from error
    return methods


def build_schedule(config: Mapping[str, Any]) -> WeightSchedule:
    """Build a recipe's ``distillation.schedule``; raises :class:`RecipeError` for an unknown key or a wrong order."""
    try:
        return WeightSchedule(**config)
    except TypeError as error:
        raise RecipeError(f"distillation.schedule does not take these keys: {error}") from error
