"""The deployable detector against mmdet's own prediction, image for image."""

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import pytest
import torch
from torch import Tensor

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.nms import nms_keep_in_passes
from deploy.graph.specification import padding_colour
from deploy.runtime.artefact import ArtefactSpec
from pipeline.errors import RecipeError
from tests.deploy.stock import HEADS, PREPROCESSOR, SIZE, noise_images, spec, stock_detector


def meta(height: int = SIZE, width: int = SIZE) -> dict[str, Any]:
    return {"img_shape": (height, width), "ori_shape": (height, width), "scale_factor": (1.0, 1.0)}


def mmdet_predict(detector: Any, batch: Tensor) -> list[Any]:
    from mmdet.structures import DetDataSample

    samples = [DetDataSample(metainfo=meta(*image.shape[:2])) for image in batch]
    data = {"inputs": [image.permute(2, 0, 1) for image in batch], "data_samples": samples}
    with torch.no_grad():
        return [sample.pred_instances for sample in detector.test_step(data)]


def check_equal(outputs: Any, expected: list[Any], atol: float = 1e-6) -> None:
    """Every image's detections are mmdet's, in mmdet's order, and zeros behind."""
    assert len(outputs.num_dets) == len(expected)
    for boxes, scores, labels, count, wanted in zip(*outputs, expected, strict=True):
        assert count == len(wanted)
        torch.testing.assert_close(scores[:count], wanted.scores, atol=atol, rtol=0)
        torch.testing.assert_close(boxes[:count], wanted.bboxes, atol=1e-3, rtol=0)
        assert labels[:count].tolist() == wanted.labels.tolist()
        assert not boxes[count:].any()
        assert not scores[count:].any()
        assert not labels[count:].any()


@pytest.mark.parametrize("family", HEADS)
def test_random_weights_give_what_mmdet_gives(family: str) -> None:
    detector = stock_detector(family)
    expected = mmdet_predict(detector, noise_images(2))
    with torch.no_grad():
        outputs = DeployableDetector(detector, spec(10))(noise_images(2))
    check_equal(outputs, expected)
    assert outputs.num_dets.min() > 20
    assert len(outputs.labels.unique()) > 3


@pytest.mark.parametrize("count", [1, 5])
def test_batch_sizes_and_a_canvas_that_is_not_square(count: int) -> None:
    detector = stock_detector()
    batch = noise_images(count, 96, 160)
    with torch.no_grad():
        outputs = DeployableDetector(detector, spec(10, input_height=96, input_width=160))(batch)
    check_equal(outputs, mmdet_predict(detector, batch))
    assert [list(output.shape) for output in outputs] == [[count, 100, 4], [count, 100], [count, 100], [count]]
    assert [output.dtype for output in outputs] == [torch.float32, torch.float32, torch.int64, torch.int64]


Raw = tuple[list[Tensor], list[Tensor]]
SIDES = (16, 8, 4, 2, 1)


def raw(images: int, classes: int, logit: Callable[[Tensor], Tensor]) -> Raw:
    """Head outputs of a GFL with ``logit`` applied to standard normal noise, and sharp random box sides."""
    generator = torch.Generator().manual_seed(classes)
    noise = [torch.randn((images, classes, side, side), generator=generator) for side in SIDES]
    boxes = [torch.randn((images, 68, side, side), generator=generator) * 4 for side in SIDES]
    return [logit(level) for level in noise], boxes


def only_strongest(noise: Tensor) -> Tensor:
    return torch.where(noise > 2.3, noise, -20.0)


def in_steps(noise: Tensor) -> Tensor:
    return noise.round()


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "no boxes": lambda noise: torch.full_like(noise, -20),
    "fewer than max_detections": only_strongest,
    "more than max_detections": lambda noise: noise - 2,
    "equal scores": lambda noise: torch.where(noise > 1, in_steps(noise), -20.0),
    "all scores 1": lambda noise: torch.where(noise > 1.5, torch.full_like(noise, 50), -20.0),
}


@pytest.fixture(params=[0, 16], ids=["nms", "nms in passes"])
def form_of_nms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs with the exact NMS, and with its portable form, which TensorRT engines take."""

    def portable(boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, iou_threshold: float) -> Tensor:
        return nms_keep_in_passes(boxes, scores, labels, iou_threshold, request.param)

    if request.param:
        monkeypatch.setattr("deploy.graph.exported_module.nms_keep", portable)


@pytest.mark.usefixtures("form_of_nms")
@pytest.mark.parametrize("classes", [1, 10])
@pytest.mark.parametrize("case", CASES)
def test_adversarial_predictions_give_what_mmdet_gives(
    case: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # mmdet leaves the order of equal scores to torch's sort, which is not stable unless it is asked to be.
    monkeypatch.setattr(torch.Tensor, "sort", partialmethod(torch.Tensor.sort, stable=True))
    detector = stock_detector(classes=classes)
    check_raw(detector, spec(classes), raw(2, classes, CASES[case]))


@pytest.mark.usefixtures("form_of_nms")
def test_eighty_classes() -> None:
    detector = stock_detector(classes=80)
    outputs = check_raw(detector, spec(80), raw(2, 80, lambda noise: torch.where(noise > 2.8, noise, -20.0)))
    assert len(outputs.labels.unique()) > 30


# A chain of 256 boxes: 16 passes would keep two boxes that greedy NMS suppresses.
@pytest.mark.usefixtures("form_of_nms")
@pytest.mark.parametrize("form_of_nms", [0, 64], indirect=True, ids=["nms", "nms in passes"])
def test_chains_of_overlapping_boxes() -> None:
    # Neighbouring cells of the first level predict boxes of equal size whose scores fall from left to right.
    logits, boxes = raw(1, 1, lambda noise: torch.full_like(noise, -20))
    logits[0][0, 0] = torch.linspace(3, 0, 256).view(16, 16)
    boxes[0] = torch.full_like(boxes[0], -50).unflatten(1, (4, 17)).index_fill(2, torch.tensor([3]), 50).flatten(1, 2)
    outputs = check_raw(stock_detector(classes=1), spec(1), (logits, boxes))
    assert 0 < outputs.num_dets[0] < 100


def test_fewer_candidates_give_the_beginning_of_mmdets_list() -> None:
    detector = stock_detector()
    outputs = check_raw(
        detector, spec(10, max_candidates=20), raw(2, 10, CASES["fewer than max_detections"]), prefix=True
    )
    assert 10 < outputs.num_dets.max() <= 20


def test_outputs_keep_their_size_when_there_are_fewer_pairs() -> None:
    detector = stock_detector(classes=1)
    artefact = spec(1, input_height=32, input_width=32, max_detections=300)
    with torch.no_grad():
        outputs = DeployableDetector(detector, artefact)(noise_images(2, 32, 32))
    # 16 + 4 + 1 + 1 + 1 locations of one class.
    assert outputs.num_dets.max() <= 23
    assert [list(output.shape) for output in outputs] == [[2, 300, 4], [2, 300], [2, 300], [2]]
    check_equal(outputs, mmdet_predict(detector, noise_images(2, 32, 32)))


def test_no_score_is_no_detection() -> None:
    detector = DeployableDetector(stock_detector(), spec(10))
    logits, boxes = raw(1, 10, lambda noise: torch.full_like(noise, float("nan")))
    outputs = detector.postprocess(detector.predictor.decode((logits, boxes)), detector.canvas)
    assert outputs.num_dets.tolist() == [0]
    assert not outputs.boxes.any()


@pytest.mark.parametrize(
    "preprocessor",
    [
        PREPROCESSOR,
        {**PREPROCESSOR, "bgr_to_rgb": False},
        {"type": "DetDataPreprocessor", "mean": [127.5], "std": [58.0]},
        {"type": "DetDataPreprocessor"},
    ],
    ids=["rgb", "bgr", "grey mean", "none"],
)
@pytest.mark.parametrize("color_order", ["bgr", "rgb"])
def test_normalisation_is_that_of_the_data_preprocessor(preprocessor: dict[str, Any], color_order: str) -> None:
    detector = stock_detector(data_preprocessor=preprocessor)
    batch = noise_images(2)
    expected = detector.data_preprocessor({"inputs": list(batch.permute(0, 3, 1, 2)), "data_samples": None})["inputs"]
    fed = batch if color_order == "bgr" else batch.flip(-1)
    found = DeployableDetector(detector, spec(10, color_order=color_order)).normalise(fed)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("preprocessor", "colour"),
    [
        (PREPROCESSOR, (104, 116, 124)),
        ({**PREPROCESSOR, "bgr_to_rgb": False}, (124, 116, 104)),
        ({"type": "DetDataPreprocessor"}, (0, 0, 0)),
    ],
)
def test_padding_is_the_mean_colour_in_bgr(preprocessor: dict[str, Any], colour: tuple[int, int, int]) -> None:
    assert padding_colour(stock_detector(data_preprocessor=preprocessor).data_preprocessor) == colour


def test_what_cannot_be_exported_is_an_error() -> None:
    with pytest.raises(RecipeError, match="the head predicts 10 classes, the artefact names 3"):
        DeployableDetector(stock_detector(), spec(3))
    with pytest.raises(RecipeError, match=r"input_size 100x128 is no multiple of .* pad_size_divisor 32"):
        DeployableDetector(stock_detector(), spec(10, input_height=100))
    with pytest.raises(RecipeError, match="Sequential is no detector"):
        DeployableDetector(torch.nn.Sequential(), spec(10))


def test_the_detector_is_put_into_eval_mode() -> None:
    detector = stock_detector().train()
    DeployableDetector(detector, spec(10))
    assert not any(module.training for module in detector.modules())


def check_raw(detector: Any, artefact: ArtefactSpec, predictions: Raw, prefix: bool = False) -> Any:
    deployable = DeployableDetector(detector, artefact)
    head = detector.bbox_head
    expected = head.predict_by_feat(*predictions, batch_img_metas=[meta()] * len(predictions[0][0]))
    outputs = deployable.postprocess(deployable.predictor.decode(predictions), deployable.canvas)
    if prefix:
        assert all(count < len(instances) for count, instances in zip(outputs.num_dets, expected, strict=True))
        expected = [instances[:count] for count, instances in zip(outputs.num_dets, expected, strict=True)]
    check_equal(outputs, expected)
    return outputs
