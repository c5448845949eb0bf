"""Which heads can be decoded, and box decoding against formulas worked out by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from deploy.graph.decoding import (
    Priors,
    best_object_scores,
    box_decoder,
    decode,
    delta_boxes,
    distance_boxes,
    distribution_boxes,
    offset_boxes,
)
from pipeline.errors import RecipeError


class GFLHead(SimpleNamespace):
    pass


class LADHead(SimpleNamespace):
    pass


def head(**changes: Any) -> GFLHead:
    return GFLHead(**{"use_sigmoid_cls": True, "test_cfg": {"nms": {"type": "nms"}, "min_bbox_size": 0}, **changes})


def test_decoder_of_a_known_family() -> None:
    assert box_decoder(head()) is distribution_boxes
    assert box_decoder(head(test_cfg=None)) is distribution_boxes


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        (LADHead(), r"head LADHead: no box decoding.*known: \['ATSSHead', 'DDODHead', .*'YOLOXHead'\]"),
        (head(use_sigmoid_cls=False), "this head uses softmax"),
        (head(test_cfg={"nms": {"type": "soft_nms"}}), r"test_cfg\.nms\.type is 'soft_nms'"),
        (head(test_cfg={"min_bbox_size": 4}), r"test_cfg\.min_bbox_size is 4"),
    ],
)
def test_unfit_heads_are_named(unfit: SimpleNamespace, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        box_decoder(unfit)


def test_distribution_is_the_expected_distance_in_strides() -> None:
    # Over the bins 0..4: all weight on bin 1, on bin 4, equal weight on all (mean 2), and half on 0, half on 3.
    certain, nothing = 0.0, -1e9
    logits = torch.tensor(
        [
            [nothing, certain, nothing, nothing, nothing],
            [nothing, nothing, nothing, nothing, certain],
            [certain] * 5,
            [certain, nothing, nothing, certain, nothing],
        ]
    )
    gfl = SimpleNamespace(integral=SimpleNamespace(project=torch.arange(5.0)))
    priors = Priors(torch.tensor([[-24.0, -16.0, 40.0, 48.0]]), torch.tensor([[8.0]]))
    boxes = distribution_boxes(gfl, logits.reshape(1, 1, 20), priors)
    # The anchor's centre is (8, 16).
    torch.testing.assert_close(boxes, torch.tensor([[[8 - 8.0, 16 - 32.0, 8 + 16.0, 16 + 12.0]]]))


@pytest.mark.parametrize("scale", [0.1, 3.0, 200.0])
@pytest.mark.parametrize("shift", [0.0, 500.0, -500.0])
def test_distributions_are_those_of_a_softmax_whatever_their_logits(scale: float, shift: float) -> None:
    logits = scale * torch.randn(2, 30, 68, generator=torch.Generator().manual_seed(0)) + shift
    gfl = SimpleNamespace(integral=SimpleNamespace(project=torch.linspace(0, 16, 17)))
    priors = Priors(torch.zeros(30, 4), torch.ones(30, 1))
    expected = (logits.double().unflatten(-1, (4, 17)).softmax(-1) * gfl.integral.project).sum(-1)
    signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    torch.testing.assert_close(distribution_boxes(gfl, logits, priors) * signs, expected.float(), rtol=2e-5, atol=2e-5)


def test_distances_are_pixels_around_a_point() -> None:
    priors = Priors(torch.tensor([[4.0, 12.0]]), torch.tensor([[8.0]]))
    boxes = distance_boxes(SimpleNamespace(), torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), priors)
    assert boxes.tolist() == [[[3.0, 10.0, 7.0, 16.0]]]


def test_offsets_are_strides_from_a_point_and_logarithms_of_sizes() -> None:
    priors = Priors(torch.tensor([[16.0, 32.0]]), torch.tensor([[8.0]]))
    logarithms = torch.tensor([2.0, 4.0]).log().tolist()
    boxes = offset_boxes(SimpleNamespace(), torch.tensor([[[0.5, -1.0, *logarithms]]]), priors)
    torch.testing.assert_close(boxes, torch.tensor([[[12.0, 8.0, 28.0, 40.0]]]))


def test_objects_score_by_their_best_class_alone() -> None:
    logits, objects = torch.tensor([[[2.0, 1.0], [-3.0, 0.0]]]), torch.tensor([[0.0, 4.0]])
    scores, quality = best_object_scores(logits, objects)
    product = logits.sigmoid() * objects.sigmoid()[..., None]
    assert quality is None
    torch.testing.assert_close(scores, torch.tensor([[[product[0, 0, 0], 0.0], [0.0, product[0, 1, 1]]]]))


def test_deltas_shift_and_scale_anchors() -> None:
    from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder

    priors = Priors(torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 16.0, 8.0]]), torch.full((2, 1), 8.0))
    deltas = torch.zeros(3, 2, 4)
    deltas[1, 1] = torch.tensor([0.5, 0.0, 0.0, torch.log(torch.tensor(2.0))])
    boxes = delta_boxes(SimpleNamespace(bbox_coder=DeltaXYWHBBoxCoder()), deltas, priors)
    torch.testing.assert_close(boxes[0], priors.boxes)
    torch.testing.assert_close(boxes[1, 1], torch.tensor([12.0, -4.0, 20.0, 12.0]))


def test_predictions_follow_the_order_of_the_priors() -> None:
    # Two levels of 2x3 and 1x1 cells, two anchors a cell, three classes; every logit names its place.
    def level(start: int, height: int, width: int, channels: int) -> torch.Tensor:
        return torch.arange(start, start + channels * height * width, dtype=torch.float32).view(
            1, channels, height, width
        )

    class Recorder(SimpleNamespace):
        prior_generator = SimpleNamespace(num_base_priors=[2])

    outputs = ([level(0, 2, 3, 6), level(100, 1, 1, 6)], [level(0, 2, 3, 8), level(0, 1, 1, 8)])
    priors = Priors(torch.zeros(14, 4), torch.ones(14, 1))
    predictions = decode(Recorder(), lambda head, regression, priors: regression, outputs, priors)
    assert predictions.boxes.shape == (1, 14, 1, 4)
    assert predictions.quality is None
    logits = torch.logit(predictions.scores.double())
    # Row 0, column 1, anchor 1 is prior 3: channels 3 to 5 at cell 1 of 6.
    torch.testing.assert_close(logits[0, 0], torch.tensor([0.0, 6.0, 12.0], dtype=torch.float64), atol=1e-2, rtol=0)
    assert predictions.boxes[0, 3, 0].tolist() == [4 * 6 + 1, 5 * 6 + 1, 6 * 6 + 1, 7 * 6 + 1]
    assert predictions.boxes[0, 13, 0].tolist() == [4, 5, 6, 7]
