"""Which adapter belongs to which stock head."""

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors.atss import ATSSFamily
from pipeline.detectors.ddod import DDODFamily
from pipeline.detectors.family import Family
from pipeline.detectors.fcos import FCOSFamily
from pipeline.detectors.gfl import GFLFamily
from pipeline.detectors.kinds import DetectorKind, dense_head, kind_of
from pipeline.detectors.paa import PAAFamily
from pipeline.detectors.retinanet import RetinaNetFamily
from pipeline.detectors.rtmdet import RTMDetFamily
from pipeline.detectors.tood import TOODFamily
from pipeline.detectors.vfnet import VFNetFamily
from pipeline.detectors.yolox import YOLOXFamily
from pipeline.errors import RecipeError

FAMILIES: dict[str, type[Family]] = {
    "ATSSHead": ATSSFamily,
    "DDODHead": DDODFamily,
    "FCOSHead": FCOSFamily,
    "GFLHead": GFLFamily,
    "PAAHead": PAAFamily,
    "RTMDetSepBNHead": RTMDetFamily,
    "RetinaHead": RetinaNetFamily,
    "TOODHead": TOODFamily,
    "VFNetHead": VFNetFamily,
    "YOLOXHead": YOLOXFamily,
}
"""Adapters by exact class name of the head: a subclass (LADHead is a PAAHead) may predict in another way."""


def family_of(detector: BaseDetector) -> Family:
    """The adapter of a detector, by the type of its head; raises :class:`RecipeError` for an unknown head."""
    head = type(dense_head(detector)).__name__
    if head not in FAMILIES:
        raise RecipeError(
            f"no distillation adapter for {head}; known heads: {sorted(FAMILIES)}. PKD, which compares FPN outputs "
            "alone, needs none"
        )
    return FAMILIES[head]()


def family_name(detector: BaseDetector) -> str:
    """The name of a detector's family, or the type of its head, or its own, where it has no adapter."""
    if kind_of(detector) is DetectorKind.OTHER:
        return type(detector).__name__
    head = type(dense_head(detector)).__name__
    return FAMILIES[head].name if head in FAMILIES else head
