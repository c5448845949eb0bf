"""Which layers of a stock detector have rows for each class, and in which order these lie."""

from dataclasses import dataclass
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import nn

from pipeline.detectors.adapters import FAMILIES
from pipeline.errors import RecipeError


@dataclass(frozen=True)
class ClassLayer:
    """Rows (outputs) of a layer: of each anchor one after the other those of the classes, background last.

    Attributes:
        anchors: predictions at one place; 1 where there are no anchors.
        classes: of the detector.
        background: 1 where background has rows of its own, else 0.
        numbers: rows of one class, 4 for boxes.
    """

    anchors: int
    classes: int
    background: int
    numbers: int = 1

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.anchors * (self.classes + self.background) * self.numbers


def class_layers(detector: BaseDetector) -> dict[str, ClassLayer]:
    """The layers of a detector's heads that have rows for each class, by dotted name.

    Raises:
        RecipeError: none of its heads is known.
    """
    layers: dict[str, ClassLayer] = {}
    for name, head in detector.named_modules():
        if (family := FAMILIES.get(type(head).__name__)) is not None:
            classifiers = _convolutions(head, family.predictors[0])
            layers |= {f"{name}.{place}": _of_dense(head, layer) for place, layer in classifiers}
        elif isinstance(head, BBoxHead) and not head.custom_cls_channels:
            layers |= {f"{name}.{layer}": rows for layer, rows in _of_regions(head).items()}
    if not layers:
        heads = [type(getattr(detector, key)).__name__ for key in ("bbox_head", "roi_head") if hasattr(detector, key)]
        raise RecipeError(
            f"{type(detector).__name__} ({', '.join(heads) or 'without a head'}): it is not known which of its layers "
            f"have rows for each class; known are the heads {', '.join(FAMILIES)} and those of Faster R-CNN. Leave "
            "`init` out, or add an adapter to pipeline/detectors"
        )
    return layers


def _convolutions(head: nn.Module, name: str) -> list[tuple[str, nn.Conv2d]]:
    """A convolution of the head, or each of a list of them, with its dotted name."""
    found = head.get_submodule(name).named_modules(prefix=name)
    return [(place, module) for place, module in found if isinstance(module, nn.Conv2d)]


def _of_dense(head: Any, layer: nn.Conv2d) -> ClassLayer:
    anchors = layer.out_channels // head.cls_out_channels
    return ClassLayer(anchors, head.num_classes, head.cls_out_channels - head.num_classes)


def _of_regions(head: Any) -> dict[str, ClassLayer]:
    layers = {}
    if head.with_cls:
        layers["fc_cls"] = ClassLayer(1, head.num_classes, 1)
    if head.with_reg and not head.reg_class_agnostic:
        layers["fc_reg"] = ClassLayer(1, head.num_classes, 0, head.fc_reg.out_features // head.num_classes)
    return layers
