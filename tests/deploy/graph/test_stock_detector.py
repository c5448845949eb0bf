"""A detector that is never exported finds behind an artefact's interface what mmdet's own test step finds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.graph.stock_detector import StockDetector, measured_module
from deploy.runtime.detector import Detector
from pipeline.errors import ExportError, RecipeError
from tests.deploy.stock import noise_images, spec, stock_detector
from tests.other_detectors import other_detector

NAMES = ("cascade", "centernet", "dino")
ALL = replace(spec(3), input_height=64, input_width=64, score_threshold=0.0, max_detections=40)


def mmdet_finds(detector: Any, images: list[torch.Tensor]) -> list[Any]:
    """By mmdet's test step: it normalises, pads to the largest and predicts; ``images`` uint8 [H, W, 3]."""
    samples = []
    for image in images:
        shape = tuple(image.shape[:2])
        metainfo = dict.fromkeys(("img_shape", "ori_shape"), shape)
        border = (0, shape[0], 0, shape[1])
        samples.append(DetDataSample(metainfo={**metainfo, "scale_factor": (1.0, 1.0), "border": border}))
    data = {"inputs": [image.permute(2, 0, 1) for image in images], "data_samples": samples}
    with torch.no_grad():
        return [sample.pred_instances for sample in detector.eval().test_step(data)]


@pytest.mark.parametrize("name", NAMES)
def test_images_that_fill_the_canvas_or_a_part_of_it(name: str) -> None:
    detector = other_detector(name)
    high, wide = noise_images(1, 64, 48)[0], noise_images(1, 40, 64)[0]
    found = Detector(ALL, PytorchBackend(StockDetector(detector, ALL)))([high.numpy(), wide.numpy()])
    for own, expected, image in zip(found, mmdet_finds(detector, [high, wide]), (high, wide), strict=True):
        limit = torch.tensor([image.shape[1], image.shape[0]] * 2)
        boxes = torch.minimum(expected.bboxes.clamp(min=0), limit)
        kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        assert len(own) == kept.sum() > 5
        np.testing.assert_allclose(own.scores, expected.scores[kept].sort(descending=True).values, rtol=0, atol=1e-6)
        order = expected.scores[kept].argsort(descending=True, stable=True)
        np.testing.assert_allclose(own.boxes, boxes[kept][order], rtol=0, atol=1e-3)
        np.testing.assert_array_equal(own.labels, expected.labels[kept][order])


def test_threshold_and_limit_are_those_of_the_export() -> None:
    detector = other_detector("dino")
    images, sizes = noise_images(2, 64, 64), torch.tensor([[64, 64], [64, 64]])
    with torch.no_grad():
        every = StockDetector(detector, ALL)(images, sizes)
        threshold = float(every.scores[0, 4])
        limited = replace(ALL, score_threshold=threshold, max_detections=3)
        few = StockDetector(detector, replace(limited, max_detections=40))(images, sizes)
        best = StockDetector(detector, limited)(images, sizes)
    assert int(every.num_dets[0]) > 5
    assert int(few.num_dets[0]) == int((every.scores[0] > threshold).sum()) == 4
    assert not few.scores[0, 4:].any()
    assert not few.boxes[0, 4:].any()
    assert best.boxes.shape == (2, 3, 4)
    torch.testing.assert_close(best.boxes[0], every.boxes[0, :3], rtol=0, atol=0)


def test_sizes_are_needed() -> None:
    with pytest.raises(ValueError, match="needs the sizes of the images"):
        StockDetector(other_detector("centernet"), ALL)(noise_images(1, 64, 64))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cascade", r"CascadeRCNN cannot be exported: model\.roi_head is a CascadeRoIHead; known: StandardRoIHead"),
        ("centernet", "head CenterNetHead: no box decoding for this family"),
        ("dino", "DINO cannot be exported: it has no head that predicts at every cell"),
    ],
)
def test_what_cannot_ship_says_why_and_is_measured_by_mmdets_own(name: str, message: str) -> None:
    detector = other_detector(name)
    with pytest.raises(ExportError, match=message):
        DeployableDetector(detector, ALL)
    assert isinstance(measured_module(detector, ALL), StockDetector)


def test_what_ships_is_measured_as_it_ships_and_what_is_wrong_stays_an_error() -> None:
    detector = stock_detector("GFL")
    assert isinstance(measured_module(detector, spec(10)), DeployableDetector)
    with pytest.raises(RecipeError, match="the head predicts 10 classes, the artefact names 3"):
        measured_module(detector, spec(3))
    detector.bbox_head.test_cfg.nms.type = "soft_nms"
    assert isinstance(measured_module(detector, spec(10)), StockDetector)
