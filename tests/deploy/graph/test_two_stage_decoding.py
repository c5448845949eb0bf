"""Faster R-CNN as it ships against mmdet's own prediction, and the exported file in every backend here."""

from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from deploy.engines.portable import read_portable
from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector, Outputs
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.backends import open_backend
from deploy.runtime.errors import ArtefactError
from pipeline.errors import RecipeError
from tests.deploy.graph.test_exported_module import check_equal, mmdet_predict
from tests.deploy.stock import noise_images, spec, two_stage_detector

Change = Callable[[Any], None]


def compare(detector: Any, batch: Tensor, artefact: ArtefactSpec) -> Outputs:
    """Detections of a batch, which must be the first of mmdet's that have an area."""
    expected = [found[_has_area(found.bboxes)][: artefact.max_detections] for found in mmdet_predict(detector, batch)]
    with torch.no_grad():
        outputs = DeployableDetector(detector, artefact)(batch)
    check_equal(outputs, expected)
    return outputs


def _has_area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] > boxes[:, :2]).all(dim=1)


def proposals(detector: Any, batch: Tensor, classes: int = 10) -> tuple[DeployableDetector, Tensor, Tensor]:
    deployable = DeployableDetector(detector, spec(classes))
    with torch.no_grad():
        features = detector.extract_feat(deployable.normalise(batch))
        boxes, present = deployable.predictor.propose(features, deployable.canvas)
    return deployable, boxes, present


def test_random_weights_give_what_mmdet_gives() -> None:
    detector = two_stage_detector()
    outputs = compare(detector, noise_images(2), spec(10))
    assert outputs.num_dets.min() > 50
    assert len(outputs.labels.unique()) > 3
    deployable, boxes, _ = proposals(detector, noise_images(2))
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    levels = (areas.flatten()[:, None] >= deployable.predictor.level_areas).sum(dim=1)
    assert len(levels.unique()) >= 3


@pytest.mark.parametrize(
    ("classes", "changes"),
    [
        (1, {}),
        (80, {}),
        (10, {"reg_class_agnostic": True}),
        (1, {"reg_class_agnostic": True}),
        (10, {"levels": 3}),
        (10, {"levels": 2}),
        (10, {"roi_align": {"sampling_ratio": 2, "aligned": False}}),
        (10, {"roi_align": {"output_size": (7, 5)}, "roi_feat_size": (7, 5)}),
        (10, {"type": "Shared4Conv1FCBBoxHead", "conv_out_channels": 16}),
        (10, {"bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]}}),
        (10, {"proposals": {"nms_pre": 20, "max_per_img": 60}}),
        (10, {"proposals": {"nms_pre": 0, "max_per_img": 400}, "levels": 3}),
        (10, {"proposals": {"min_bbox_size": 30}}),
        (10, {"proposals": {"min_bbox_size": -1, "nms": {"type": "nms", "iou_threshold": 0.3}}}),
    ],
    ids=str,
)
def test_configurations_give_what_mmdet_gives(classes: int, changes: dict[str, Any]) -> None:
    outputs = compare(two_stage_detector(classes, **changes), noise_images(2), spec(classes))
    assert outputs.num_dets.min() > 5


@pytest.mark.parametrize("count", [1, 3])
def test_batch_sizes_and_a_canvas_that_is_not_square(count: int) -> None:
    outputs = compare(two_stage_detector(), noise_images(count, 96, 160), spec(10, input_height=96, input_width=160))
    assert [list(output.shape) for output in outputs] == [[count, 100, 4], [count, 100], [count, 100], [count]]
    assert [output.dtype for output in outputs] == [torch.float32, torch.float32, torch.int64, torch.int64]


def _background(detector: Any) -> None:
    # No region is of any class; without a threshold every one of them would be listed.
    torch.nn.init.constant_(detector.roi_head.bbox_head.fc_cls.bias[-1:], 60)


def _equal_scores(detector: Any) -> None:
    torch.nn.init.zeros_(detector.rpn_head.rpn_cls.weight)
    torch.nn.init.zeros_(detector.roi_head.bbox_head.fc_cls.weight)


def _equal_boxes(detector: Any) -> None:
    torch.nn.init.zeros_(detector.rpn_head.rpn_reg.weight)
    torch.nn.init.zeros_(detector.roi_head.bbox_head.fc_reg.weight)


def _beyond_the_canvas(detector: Any) -> None:
    torch.nn.init.constant_(detector.rpn_head.rpn_reg.bias, 30)


@pytest.mark.parametrize("change", [_background, _equal_scores, _equal_boxes, _beyond_the_canvas])
def test_adversarial_weights_give_what_mmdet_gives(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    # mmdet leaves the order of equal scores to torch's sort, which is not stable unless it is asked to be.
    monkeypatch.setattr(torch.Tensor, "sort", partialmethod(torch.Tensor.sort, stable=True))
    detector = two_stage_detector(reg_class_agnostic=True)
    with torch.no_grad():
        change(detector)
    compare(detector, noise_images(2), spec(10))


def certain_of_all(**changes: Any) -> Any:
    """A detector that calls most regions, and every empty one, the first class with a score near 1."""
    detector = two_stage_detector(**changes)
    with torch.no_grad():
        detector.roi_head.bbox_head.fc_cls.bias[0] = 6
    return detector


FEW: dict[str, Any] = {"nms_pre": 8, "min_bbox_size": 30}


def uneven_images(count: int) -> Tensor:
    """Images with different numbers of large proposals; the last one, which is dark, has none on the fine levels."""
    images = noise_images(count)
    images[-1] //= 64
    images[0, :64] = 0
    return images


def test_no_proposals_are_no_detections() -> None:
    detector = certain_of_all(proposals={"min_bbox_size": 1000})
    _, boxes, present = proposals(detector, noise_images(2))
    assert not present.any()
    assert not boxes.any()
    assert compare(detector, noise_images(2), spec(10)).num_dets.tolist() == [0, 0]


def test_padding_of_few_proposals_is_never_detected() -> None:
    detector = certain_of_all(proposals=FEW, levels=2)
    _, _, present = proposals(detector, uneven_images(5))
    assert present.sum(dim=1).tolist() == [1, 2, 3, 3, 0]
    assert present.shape[1] == 16
    outputs = compare(detector, uneven_images(5), spec(10))
    assert outputs.num_dets[:4].min() > 0
    assert outputs.num_dets[4] == 0


def test_objectness_that_is_no_number_is_no_proposal() -> None:
    detector = certain_of_all()
    with torch.no_grad():
        detector.rpn_head.rpn_cls.bias.fill_(float("nan"))
    with torch.no_grad():
        outputs = DeployableDetector(detector, spec(10))(noise_images(1))
    assert outputs.num_dets.tolist() == [0]
    assert not outputs.boxes.any()


def test_fewer_candidates_give_the_beginning_of_mmdets_list() -> None:
    detector = two_stage_detector()
    expected = mmdet_predict(detector, noise_images(2))
    with torch.no_grad():
        outputs = DeployableDetector(detector, spec(10, max_candidates=60))(noise_images(2))
    assert 10 < outputs.num_dets.max() <= 60
    expected = [found[_has_area(found.bboxes)] for found in expected]
    check_equal(outputs, [found[:count] for count, found in zip(outputs.num_dets, expected, strict=True)])


def test_region_as_large_as_a_limit_is_read_from_the_coarser_level() -> None:
    detector = two_stage_detector()
    deployable = DeployableDetector(detector, spec(10))
    extractor = detector.roi_head.bbox_roi_extractor
    sides = torch.tensor([27.9, 28.0, 55.99, 56.0, 111.9, 112.0, 127.0])
    rois = torch.stack([torch.zeros(7), torch.zeros(7), torch.zeros(7), sides, sides], dim=1)
    found = ((sides**2)[:, None] >= deployable.predictor.level_areas).sum(dim=1)
    assert found.tolist() == extractor.map_roi_levels(rois, 4).tolist() == [0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roi_align": {"pool_mode": "max"}}, r"roi_layer is RoIAlign(.|\n)*only RoIAlign with pool_mode 'avg'"),
        ({"proposals": {"nms": {"type": "soft_nms"}}}, r"test_cfg\.rpn\.nms is {'type': 'soft_nms'}"),
        (
            {"bbox_coder": {"type": "DeltaXYWHBBoxCoder", "clip_border": False}},
            "clip_border is False; boxes are clipped",
        ),
    ],
)
def test_what_cannot_be_exported_is_an_error(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=f"FasterRCNN cannot be exported: model.*{message}"):
        DeployableDetector(two_stage_detector(**changes), spec(10))


def test_parts_of_other_kinds_are_an_error() -> None:
    detector = two_stage_detector()
    detector.roi_head.bbox_roi_extractor = torch.nn.Identity()
    with pytest.raises(RecipeError, match=r"bbox_roi_extractor is a Identity; known: SingleRoIExtractor"):
        DeployableDetector(detector, spec(10))


def test_wrong_number_of_classes_is_an_error() -> None:
    with pytest.raises(RecipeError, match="the head predicts 10 classes, the artefact names 3"):
        DeployableDetector(two_stage_detector(), spec(3))


Exported = dict[str, tuple[DeployableDetector, Path]]


@pytest.fixture(scope="module")
def exported(exported_faster_rcnn: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    few = DeployableDetector(certain_of_all(proposals=FEW, levels=2), spec(10))
    export_onnx(few, path := tmp_path_factory.mktemp("artefacts") / "few.onnx", opset=18)
    many = DeployableDetector(two_stage_detector(), spec(10))
    return {"many": (many, exported_faster_rcnn), "few": (few, path)}


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("kind", ["many", "few"])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_backends_say_what_pytorch_says(exported: Exported, kind: str, name: str, batch: int) -> None:
    detector, artefact = exported[kind]
    images = uneven_images(batch).numpy()
    expected = PytorchBackend(detector).run(images)
    found = open_backend(name, artefact, detector.spec, threads=1).run(images)
    np.testing.assert_array_equal(found.num_dets, expected.num_dets)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    if kind == "many":
        assert expected.num_dets.min() > 50
    else:
        assert expected.num_dets[-1] == 0
        assert batch == 1 or expected.num_dets.max() > 0


def test_there_is_no_portable_form(exported: Exported) -> None:
    with pytest.raises(ArtefactError, match=r"many\.onnx: a two-stage detector, whose RoiAlign and NonZero have no"):
        read_portable(exported["many"][1], passes=8)


def test_file_reads_regions_by_the_standard_operator(exported: Exported) -> None:
    model = onnx.load(exported["many"][1])
    assert [opset.domain for opset in model.opset_import] == [""]
    aligns = [node for node in model.graph.node if node.op_type == "RoiAlign"]
    assert len(aligns) == 4
    modes = [a.s for node in aligns for a in node.attribute if a.name == "coordinate_transformation_mode"]
    assert modes == [b"half_pixel"] * 4
