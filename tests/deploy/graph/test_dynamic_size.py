"""Artefacts whose height and width are open: against mmdet's own prediction, and the exported file in every backend."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from mmdet.datasets.transforms import Resize
from mmdet.structures import DetDataSample
from numpy.typing import NDArray

from deploy.engines.portable import read_portable
from deploy.graph import export_check
from deploy.graph.export import export_onnx, record_of
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.graph.specification import padding_colour
from deploy.runtime.artefact import OUTPUT_NAMES, read_spec
from deploy.runtime.backends import open_backend
from deploy.runtime.detector import Detector
from pipeline.errors import RecipeError
from tests.deploy.embedded import CLASSES, digit_pictures, load_teacher
from tests.deploy.graph.test_export import CHECK
from tests.deploy.stock import HEADS, noise_images, spec, stock_detector, two_stage_detector

SCALE = (144, 96)
DYNAMIC: dict[str, Any] = {"resize_rule": "keep_ratio", "scale": SCALE, "size_divisor": 32}
FASTER_RCNN = "FasterRCNN"
FAMILIES = (*HEADS, FASTER_RCNN)
# The least there is, landscape, portrait, and a batch of both on one canvas; (rows, columns) of each image.
SIZES = ([(32, 32)], [(96, 160)], [(160, 96), (131, 70)], [(90, 150), (150, 90), (33, 160)])


def stock(family: str) -> Any:
    return two_stage_detector() if family == FASTER_RCNN else stock_detector(family)


def dynamic(family: str, **changes: Any) -> DeployableDetector:
    return DeployableDetector(stock(family), spec(10, **DYNAMIC, **changes))


def batch_of(sizes: Sequence[tuple[int, int]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noise on the smallest canvas of multiples of 32, padded with the colour that is normalised to almost 0."""
    rows, columns = (-(-max(sides) // 32) * 32 for sides in zip(*sizes, strict=True))
    images = noise_images(len(sizes), rows, columns).numpy()
    for image, (height, width) in zip(images, sizes, strict=True):
        image[height:] = image[:, width:] = (104, 116, 124)
    return images, np.array(sizes, np.int64)


def mmdet_predict(detector: Any, images: Sequence[torch.Tensor], metas: Sequence[dict[str, Any]]) -> list[Any]:
    """``images`` are [H, W, 3] and of different sizes; mmdet's own data preprocessor makes a batch of them."""
    samples = [DetDataSample(metainfo=meta) for meta in metas]
    with torch.no_grad():
        found = detector.test_step({"inputs": [image.permute(2, 0, 1) for image in images], "data_samples": samples})
    return [sample.pred_instances for sample in found]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_image_of_a_batch_gets_what_mmdet_gives(family: str, sizes: list[tuple[int, int]]) -> None:
    deployable = dynamic(family)
    images, given = batch_of(sizes)
    metas = [{"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)} for size in sizes]
    crops = [torch.tensor(image[:height, :width]) for image, (height, width) in zip(images, sizes, strict=True)]
    expected = mmdet_predict(deployable.detector, crops, metas)
    with torch.no_grad():
        outputs = deployable(torch.tensor(images), torch.tensor(given))
    assert outputs.num_dets.min() > 0
    for boxes, scores, labels, count, wanted in zip(*outputs, expected, strict=True):
        # mmdet's second stage keeps boxes without area, and more of them.
        wanted = wanted[(wanted.bboxes[:, 2:] > wanted.bboxes[:, :2]).all(dim=1)][:100]
        assert count == len(wanted)
        torch.testing.assert_close(scores[:count], wanted.scores, atol=1e-6, rtol=0)
        torch.testing.assert_close(boxes[:count], wanted.bboxes, atol=1e-3, rtol=0)
        assert labels[:count].tolist() == wanted.labels.tolist()


@cache
def exported(family: str, folder: Path) -> tuple[DeployableDetector, Path]:
    detector, path = dynamic(family), folder / f"{family}.onnx"
    export_onnx(detector, path, opset=18)
    return detector, path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dynamic")


# An export takes some seconds.
SLOW = [pytest.param(family, marks=pytest.mark.slow) for family in ("RetinaNet", "ATSS", "FCOS", "YOLOX")]


@pytest.mark.parametrize("family", ["GFL", FASTER_RCNN, *SLOW])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_backends_say_what_pytorch_says_at_every_size(family: str, name: str, folder: Path) -> None:
    detector, path = exported(family, folder)
    backend = open_backend(name, path, read_spec(path), threads=1)
    # The first size comes again: nothing of the others may be left in the backend.
    for sizes in (*SIZES, SIZES[0]):
        inputs = batch_of(sizes)
        expected, found = PytorchBackend(detector).run(*inputs), backend.run(*inputs)
        assert expected.num_dets.min() > 0
        np.testing.assert_array_equal(found.num_dets, expected.num_dets)
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)


def test_a_disagreement_is_settled_on_the_canvas_that_its_batch_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, path = exported("GFL", folder)
    # Convolutions see the edge of the canvas, which the portrait and the landscape image make square together.
    images = [*noise_images(1, 90, 150).numpy(), *noise_images(1, 150, 90).numpy()]
    plain, verdicts = export_check.compare, iter([False, True])

    def disagreeing_on_the_first(*arguments: Any) -> export_check.Comparison:
        found = plain(*arguments)
        return found if next(verdicts) else replace(found, unexplained=1)

    monkeypatch.setattr(export_check, "compare", disagreeing_on_the_first)
    check = export_check.check_export(detector, path, images)
    assert (check.rounding_chose, check.matched) == (1, 1.0)


def test_the_file_describes_itself(folder: Path) -> None:
    detector, path = exported("GFL", folder)
    assert read_spec(path) == detector.spec
    record = record_of("tiny", path, 18, CHECK)
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in (*record.inputs, *record.outputs)} == {
        "images": ("uint8", ["batch", "height", "width", 3]),
        "sizes": ("int64", ["batch", 2]),
        "boxes": ("float32", ["batch", 100, 4]),
        "scores": ("float32", ["batch", 100]),
        "labels": ("int64", ["batch", 100]),
        "num_dets": ("int64", ["batch"]),
    }


def test_the_portable_form_of_nms_has_every_size_too(folder: Path) -> None:
    detector, path = exported("GFL", folder)
    model = read_portable(path, passes=32)
    assert "NonMaxSuppression" not in {node.op_type for node in model.graph.node}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for sizes in SIZES:
        images, given = batch_of(sizes)
        expected = PytorchBackend(detector).run(images, given)
        boxes, scores, labels, counts = session.run(OUTPUT_NAMES, {"images": images, "sizes": given})
        np.testing.assert_array_equal(counts, expected.num_dets)
        np.testing.assert_array_equal(labels, expected.labels)
        np.testing.assert_allclose(scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(boxes, expected.boxes, atol=1e-2)


def test_a_batch_of_photos_gets_what_mmdets_test_pipeline_gives(tmp_path: Path) -> None:
    """From the pictures on: resized, padded and mapped back, by a trained detector; the portrait ones stay large."""
    teacher = load_teacher(tmp_path)
    colour = padding_colour(teacher.data_preprocessor)
    artefact = replace(spec(10, **DYNAMIC, pad_value=colour), classes=tuple(CLASSES), scale=(320, 192))
    shapes = [(256, 170), (170, 256), (256, 256), (90, 256)]
    pictures = [np.ascontiguousarray(p[:h, :w]) for p, (h, w) in zip(digit_pictures(4), shapes, strict=True)]
    resize = Resize(scale=(320, 192), keep_ratio=True)
    resized = [resize({"img": picture.copy()}) for picture in pictures]
    keys = ("img_shape", "scale_factor")
    metas = [
        {"ori_shape": shape, **{key: item[key] for key in keys}} for shape, item in zip(shapes, resized, strict=True)
    ]
    expected = mmdet_predict(teacher, [torch.tensor(item["img"]) for item in resized], metas)
    detector = Detector(artefact, PytorchBackend(DeployableDetector(teacher, artefact)))
    for found, wanted in zip(detector(pictures), expected, strict=True):
        assert 10 < len(found) == len(wanted)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, wanted.bboxes, atol=1e-2)
        np.testing.assert_array_equal(found.labels, wanted.labels)


def test_proposals_without_a_limit_cannot_be_of_dynamic_size() -> None:
    detector = two_stage_detector(proposals={"nms_pre": 0})
    with pytest.raises(RecipeError, match=r"test_cfg\.rpn\.nms_pre is not set.*export\.dynamic_size: false"):
        DeployableDetector(detector, spec(10, **DYNAMIC))


def exact(detector: DeployableDetector, images: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Code that takes another way at the very height that it is traced with; nothing else, for the trace's time."""
    del detector, sizes
    return images * 2 if images.shape[1] == 384 else images


def test_code_that_needs_a_fixed_size_is_no_graph_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployable = dynamic("GFL")
    monkeypatch.setattr(DeployableDetector, "forward", exact)
    with pytest.raises(
        RecipeError, match=r"export\.dynamic_size: the detector's code needs a fixed size; set it to false"
    ):
        export_onnx(deployable, tmp_path / "x.onnx", opset=18)
    assert not (tmp_path / "x.onnx").exists()


def test_sizes_are_given_where_they_are_needed() -> None:
    images, given = (torch.tensor(values) for values in batch_of([(32, 32)]))
    with pytest.raises(ValueError, match="keep_ratio: the inputs are images, sizes"):
        dynamic("GFL")(images)
    with pytest.raises(ValueError, match="letterbox: the inputs are images"):
        DeployableDetector(stock("GFL"), spec(10))(images, given)
