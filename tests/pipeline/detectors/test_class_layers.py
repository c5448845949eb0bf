"""Each head's class layers, by what the stock head itself has built."""

from typing import Any

import pytest
from torch import nn

from pipeline.detectors import FAMILIES
from pipeline.detectors.class_layers import ClassLayer, class_layers
from pipeline.errors import RecipeError
from tests.pipeline.detectors.test_families import HEADS, Detector
from tests.pipeline.distillers.faster_rcnn import make_faster

SOFTMAX = {"loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False}}


@pytest.mark.parametrize(
    ("head", "background"), [*((head, 0) for head in HEADS.values()), (HEADS["RetinaNet"] | SOFTMAX, 1)], ids=str
)
def test_a_dense_head_names_the_layer_that_classifies(head: dict[str, Any], background: int) -> None:
    detector = Detector(head)
    classifier = f"bbox_head.{FAMILIES[head['type']].predictors[0]}"
    anchors = 2 if head["type"] == "RetinaHead" else 1
    is_own = isinstance(detector.get_submodule(classifier), nn.ModuleList)  # each level has one
    names = [f"{classifier}.{level}" for level in range(3)] if is_own else [classifier]
    found = class_layers(detector)
    assert found == dict.fromkeys(names, ClassLayer(anchors, 3, background))
    assert all(layer.rows == detector.get_submodule(name).out_channels for name, layer in found.items())


@pytest.mark.parametrize("agnostic", [False, True])
def test_a_second_stage_names_its_class_layers(agnostic: bool) -> None:
    detector = make_faster(reg_class_agnostic=agnostic)
    scores, boxes = "roi_head.bbox_head.fc_cls", "roi_head.bbox_head.fc_reg"
    expected = {scores: ClassLayer(1, 3, 1), boxes: ClassLayer(1, 3, 0, 4)}
    assert class_layers(detector) == ({scores: expected[scores]} if agnostic else expected)
    head = detector.roi_head.bbox_head
    assert {layer.rows for layer in class_layers(detector).values()} >= {head.fc_cls.out_features}
    assert head.fc_reg.out_features == (4 if agnostic else expected[boxes].rows)


def test_a_head_that_is_not_known_is_an_error() -> None:
    detector = Detector(HEADS["GFL"])
    detector.bbox_head = nn.Identity()
    with pytest.raises(RecipeError, match=r"Detector \(Identity\): it is not known which .* Leave `init` out"):
        class_layers(detector)
