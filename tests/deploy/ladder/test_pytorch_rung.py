"""A PyTorch model on a small prepared data set: detections, record, gates and the published number."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from deploy.ladder.pytorch_rung import ScoreFiles, check_gates, detect, evaluate_model, published_ap
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.backends import RawDetections
from deploy.runtime.detector import Detector
from deploy.runtime.errors import ArtefactError
from pipeline.checkpoints import load_detector, save_weights
from pipeline.complexity import measure_complexity
from pipeline.datasets.prepared import read_dataset
from pipeline.errors import CheckpointError, DatasetError, GateError
from pipeline.evaluation import evaluate_detections
from pipeline.operating_point_records import OperatingPoint
from pipeline.recipes import COCO_CLASSES, Recipe, build_detector
from pipeline.records import DatasetRecord, EvaluationRecord, SplitRecord
from pipeline.settings import Gates, Params, parse_params
from pipeline.storage import sha256_of

Evaluated = tuple[EvaluationRecord, list[dict[str, Any]]]

CLASSES = ["crown", "blob"]
CATEGORIES = [{"id": 7, "name": "blob"}, {"id": 3, "name": "crown"}]
SIZES = [(64, 64), (48, 80), (96, 32), (64, 64), (20, 30)]

MODEL = {
    "type": "GFL",
    "data_preprocessor": {
        "type": "DetDataPreprocessor",
        "mean": [103.53, 116.28, 123.675],
        "std": [57.375, 57.12, 58.395],
        "pad_size_divisor": 32,
    },
    "backbone": {"type": "ResNet", "depth": 18, "base_channels": 8, "norm_cfg": {"type": "BN"}},
    "neck": {"type": "FPN", "in_channels": [8, 16, 32, 64], "out_channels": 8, "start_level": 1, "num_outs": 3},
    "bbox_head": {
        "type": "GFLHead",
        "num_classes": 2,
        "in_channels": 8,
        "feat_channels": 8,
        "stacked_convs": 1,
        "norm_cfg": {"type": "GN", "num_groups": 4},
        "anchor_generator": {
            "type": "AnchorGenerator",
            "ratios": [1.0],
            "octave_base_scale": 8,
            "scales_per_octave": 1,
            "strides": [8, 16, 32],
        },
        "loss_cls": {"type": "QualityFocalLoss", "use_sigmoid": True},
        "loss_bbox": {"type": "GIoULoss"},
        "loss_dfl": {"type": "DistributionFocalLoss"},
    },
    "test_cfg": {"nms_pre": 1000, "score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.6}, "max_per_img": 100},
}


def params(**sections: Any) -> Params:
    content = {
        "data": {"name": "coco_dir"},
        "teacher": {"config": "configs/teacher.py"},
        "students": {"small": {"recipe": "configs/small.py"}},
        "export": {"models": ["small"], "max_detections": 20},
        "benchmark": {"backends": ["onnxruntime"]},
        "train": {"device": "cpu"},
        "evaluate": {"resamples": 20, "batch_size": 2},
    }
    return parse_params({**content, **sections})


def recipe(name: str = "small", classes: list[str] = CLASSES) -> Recipe:
    config = Config({"model": MODEL, "input_size": (64, 64)})
    return Recipe(
        name=name, path=Path("configs/small.py"), config=config, classes=classes, method="none", sha256="0" * 64
    )


def write_dataset(folder: Path, annotations: list[dict[str, Any]]) -> None:
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images = []
    for number, (height, width) in enumerate(SIZES):
        small = random.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"images/{number}.png"), cv2.resize(small, (width, height)))
        images.append({"id": 50 - number, "file_name": f"{number}.png", "width": width, "height": height})
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (folder / "test.json").write_text(json.dumps(content), encoding="utf-8")
    split = SplitRecord(
        annotations="test.json",
        image_root="images",
        sha256=sha256_of(folder / "test.json"),
        images=len(images),
        boxes=len(annotations),
        crowd_boxes=0,
        images_without_boxes=0,
        boxes_per_class={},
    )
    DatasetRecord(
        name="blobs", title="Blobs", composed=True, classes=CLASSES, splits={"test": split}, credits=[], findings=[]
    ).write(folder / "dataset.json")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    detector = build_detector(recipe())
    # Untrained, it scores 0.01 everywhere and its boxes fill the image: spread the scores, shorten the distances.
    head = detector.bbox_head
    torch.nn.init.normal_(head.gfl_cls.weight, std=0.5)
    torch.nn.init.constant_(head.gfl_cls.bias, -1.5)
    head.gfl_reg.bias.data = -0.7 * torch.arange(17.0).repeat(4)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_weights(path, detector.state_dict(), {})
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """Ground truth that is partly what the detector finds, so that its AP is between 0 and 100."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, [])
    found = folder / "found.json"
    evaluate_model(recipe(), weights, folder, params(), found)
    boxes = [item for item in json.loads(found.read_text(encoding="utf-8")) if item["score"] > 0.1][1::2]
    keys = ("image_id", "category_id", "bbox")
    annotations = [{key: item[key] for key in keys} | {"id": number} for number, item in enumerate(boxes)]
    assert len(annotations) > 4
    write_dataset(folder, annotations)
    return folder


def evaluated(dataset: Path, weights: Path, out: Path, name: str = "small", **sections: Any) -> Evaluated:
    record = evaluate_model(recipe(name), weights, dataset, params(**sections), out)
    return record, json.loads(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small(dataset: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """The student as most tests look at it."""
    return evaluated(dataset, weights, tmp_path_factory.mktemp("small") / "out.json")


def test_the_record_is_that_of_the_written_detections(dataset: Path, weights: Path, small: Evaluated) -> None:
    record, results = small
    assert record.accuracy == evaluate_detections(dataset / "test.json", results, "test", params().evaluate)
    assert record.accuracy.numbers.ap is not None
    assert 1 < record.accuracy.numbers.ap < 99
    assert record.accuracy.bootstrap is not None
    assert (record.model, record.dataset, record.method) == ("small", "blobs", "none")
    assert record.recipe == "configs/small.py"
    assert record.weights_sha256 == sha256_of(weights)
    assert record.complexity == measure_complexity(load_detector(recipe(), weights), (64, 64))
    assert EvaluationRecord.model_validate_json(record.model_dump_json()) == record


def test_detections_follow_the_split_best_first_in_pixels_of_the_image(dataset: Path, small: Evaluated) -> None:
    _, results = small
    images = json.loads((dataset / "test.json").read_text(encoding="utf-8"))["images"]
    order = {image["id"]: position for position, image in enumerate(images)}
    keys = [(order[item["image_id"]], -item["score"]) for item in results]
    assert keys == sorted(keys)
    for item in results:
        image = images[order[item["image_id"]]]
        x, y, width, height = item["bbox"]
        assert x >= 0
        assert y >= 0
        assert x + width <= image["width"] + 1e-3
        assert y + height <= image["height"] + 1e-3
    assert max(item["bbox"][0] + item["bbox"][2] for item in results if order[item["image_id"]] == 1) > 64


def test_it_finds_what_the_stock_detector_finds(dataset: Path, weights: Path, tmp_path: Path) -> None:
    """mmdet's own ``predict`` on the images that need no resizing; images are in BGR order on both sides."""
    from mmdet.structures import DetDataSample

    _, results = evaluated(dataset, weights, tmp_path / "out.json", export={"models": ["small"]})
    stock = load_detector(recipe(), weights)
    images = json.loads((dataset / "test.json").read_text(encoding="utf-8"))["images"]
    for image in (images[0], images[3]):
        pixels = torch.from_numpy(cv2.imread(str(dataset / "images" / image["file_name"]))).permute(2, 0, 1)
        sample = DetDataSample(metainfo={"img_shape": (64, 64), "ori_shape": (64, 64), "scale_factor": (1.0, 1.0)})
        with torch.no_grad():
            expected = stock.test_step({"inputs": [pixels], "data_samples": [sample]})[0].pred_instances
        own = [item for item in results if item["image_id"] == image["id"]]
        assert len(own) == len(expected) > 0
        np.testing.assert_allclose([item["score"] for item in own], expected.scores, atol=1e-5)
        corners = np.array([item["bbox"] for item in own])
        corners[:, 2:] += corners[:, :2]
        np.testing.assert_allclose(corners, expected.bboxes, atol=1e-3)
        ids = {0: 3, 1: 7}
        assert [item["category_id"] for item in own] == [ids[label] for label in expected.labels.tolist()]


def test_of_dynamic_size_it_finds_what_mmdets_test_pipeline_finds(dataset: Path, weights: Path, tmp_path: Path) -> None:
    """Image by image, so that ``evaluate.batch_size`` changes nothing; portrait and landscape ones, all resized."""
    from mmdet.datasets.transforms import Resize
    from mmdet.structures import DetDataSample

    resizing = {"type": "Resize", "scale": (96, 56), "keep_ratio": True}
    config = {**recipe().config, "val_dataloader": {"dataset": {"pipeline": [resizing]}}}
    resized = replace(recipe(), config=Config(config))
    chosen = params(export={"models": ["small"], "dynamic_size": True})
    evaluate_model(resized, weights, dataset, chosen, tmp_path / "out.json")
    results = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    stock = load_detector(recipe(), weights)
    for image in json.loads((dataset / "test.json").read_text(encoding="utf-8"))["images"]:
        pixels = cv2.imread(str(dataset / "images" / image["file_name"]))
        meta = Resize(scale=(96, 56), keep_ratio=True)({"img": pixels, "ori_shape": pixels.shape[:2]})
        inputs = [torch.from_numpy(meta.pop("img")).permute(2, 0, 1)]
        with torch.no_grad():
            found = stock.test_step({"inputs": inputs, "data_samples": [DetDataSample(metainfo=meta)]})
        expected = found[0].pred_instances
        # Its test_cfg has no min_bbox_size: mmdet keeps the boxes that lie in the padding alone.
        expected = expected[(expected.bboxes[:, 2:] > expected.bboxes[:, :2]).all(dim=1)]
        own = [item for item in results if item["image_id"] == image["id"]]
        assert len(own) == len(expected) > 0
        np.testing.assert_allclose([item["score"] for item in own], expected.scores, atol=1e-5)
        corners = np.array([item["bbox"] for item in own])
        corners[:, 2:] += corners[:, :2]
        np.testing.assert_allclose(corners, expected.bboxes, atol=1e-3)


def test_the_batch_size_does_not_change_the_result(
    dataset: Path, weights: Path, tmp_path: Path, small: Evaluated
) -> None:
    many, _ = evaluated(dataset, weights, tmp_path / "5.json", evaluate={"resamples": 5, "batch_size": 5})
    assert small[0].accuracy.numbers.ap == pytest.approx(many.accuracy.numbers.ap, abs=1e-3)


CHECKPOINT = {"sources": ["weights.pth"], "sha256": "0" * 64}


def teacher_section(published_ap: float = 80.0) -> dict[str, Any]:
    listed = {"checkpoints": {"coco_dir": CHECKPOINT}, "published_ap": {"coco_dir": published_ap}}
    return {"config": "configs/teacher.py", **listed}


def test_the_teacher_is_compared_with_its_published_ap(
    dataset: Path, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    record, _ = evaluated(dataset, weights, tmp_path / "t.json", "teacher", teacher=teacher_section())
    assert record.published_ap == 80.0
    assert "points off the published 80.00" in caplog.text
    caplog.clear()
    close = teacher_section(round(record.accuracy.numbers.ap or 0, 1))
    evaluated(dataset, weights, tmp_path / "t.json", "teacher", teacher=close)
    assert "teacher: AP" in caplog.text
    assert "published" not in caplog.text


def test_a_student_or_a_teacher_trained_here_has_no_published_ap(dataset: Path, weights: Path, tmp_path: Path) -> None:
    listed, trained = teacher_section(), teacher_section() | {"source": "train"}
    for name, section in (("small", listed), ("teacher", trained)):
        record, _ = evaluated(dataset, weights, tmp_path / "out.json", name, teacher=section)
        assert record.published_ap is None


@pytest.mark.parametrize(
    ("name", "method", "classes", "expected"),
    [
        ("teacher", None, COCO_CLASSES, 44.9),
        ("twin", None, COCO_CLASSES, 40.2),
        ("crosskd", "CrossKD", COCO_CLASSES, 43.7),
        ("crosskd", "CrossKD", ("crown", "stone"), None),
        ("crosskd", "CrossKD", COCO_CLASSES[::-1], None),
    ],
)
def test_a_recipe_s_published_ap_is_that_of_coco(
    name: str, method: str | None, classes: tuple[str, ...], expected: float | None
) -> None:
    numbers = {"teacher": 44.9, "student": 40.2, "distilled": 43.7}
    published = replace(recipe(name, list(classes)), published=numbers)
    if method:
        published = replace(published, method=method)
    assert published_ap(published, params()) == expected


def test_without_a_test_split_val_is_measured_and_called_so(dataset: Path, weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(dataset, folder)
    record = read_dataset(folder)
    record.model_copy(update={"splits": {"val": record.splits["test"]}}).write(folder / "dataset.json")
    scores = ScoreFiles(tmp_path / "point.json", tmp_path / "errors.json")
    found = evaluate_model(recipe(), weights, folder, params(), tmp_path / "out.json", scores)
    point = OperatingPoint.read(tmp_path / "point.json")
    assert (found.accuracy.split, point.chosen_on, point.measured_on) == ("val", "val", "val")
    assert point.measured == point.chosen is not None


def test_an_unknown_split_is_named(dataset: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no split 'val', it has \['test'\]; change `evaluate\.split`"):
        evaluated(dataset, weights, tmp_path / "out.json", evaluate={"split": "val"})
    assert not (tmp_path / "out.json").exists()


def test_classes_that_are_not_the_data_s_are_refused(dataset: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="only in the data"):
        evaluate_model(recipe(classes=["crown", "stone"]), weights, dataset, params(), tmp_path / "out.json")


def test_weights_of_another_model_are_refused(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, {"weight": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"other.safetensors does not fit"):
        evaluate_model(recipe(), path, dataset, params(), tmp_path / "out.json")


class Corner:
    """A backend that finds one box in every image: the left upper quarter of the canvas."""

    name, version, device, precision, threads = "corner", "1", "cpu", "fp32", 1

    def run(self, images: NDArray[np.uint8], sizes: None = None) -> RawDetections:
        count = len(images)
        # Convolutions in TF32 would make fp32 on a GPU another precision than fp32 on a CPU.
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        return RawDetections(
            boxes=np.tile(np.array([[0, 0, 32, 32]], np.float32), (count, 1, 1)),
            scores=np.full((count, 1), 0.5, np.float32),
            labels=np.ones((count, 1), np.int64),
            num_dets=np.ones(count, np.int64),
        )


def test_boxes_go_back_to_the_image_and_labels_to_category_ids(dataset: Path) -> None:
    spec = ArtefactSpec(
        model="corner",
        classes=tuple(CLASSES),
        input_height=64,
        input_width=64,
        color_order="bgr",
        resize_rule="letterbox",
        pad_value=(0, 0, 0),
        score_threshold=0.05,
        nms_iou_threshold=0.6,
        nms_passes=0,
        max_candidates=100,
        max_detections=10,
        precision="fp32",
        recipe="none",
        recipe_sha256="0" * 64,
        weights_sha256="0" * 64,
        dataset="blobs",
    )
    assert torch.backends.cudnn.allow_tf32, "PyTorch's own choice, which must not hold here"
    results = detect(Detector(spec, Corner(), 2), dataset / "test.json", dataset / "images").results()
    assert torch.backends.cudnn.allow_tf32
    assert [item["image_id"] for item in results] == [50, 49, 48, 47, 46]
    assert {item["category_id"] for item in results} == {7}
    for item, (height, width) in zip(results, SIZES, strict=True):
        scale = min(64 / height, 64 / width)
        expected = [0, 0, min(32 / scale, width), min(32 / scale, height)]
        np.testing.assert_allclose(item["bbox"], expected, rtol=0.02)


@pytest.mark.parametrize(
    ("name", "gates", "message"),
    [
        ("small", {"student_min_ap": 99.0}, r"small has AP .* gates.student_min_ap in params.yaml asks for 99"),
        ("teacher", {"teacher_min_ap": 99.0}, r"teacher has AP .* on blobs test; gates.teacher_min_ap"),
    ],
)
def test_an_ap_below_the_gate_fails(small: Evaluated, name: str, gates: dict[str, float], message: str) -> None:
    record = small[0].model_copy(update={"model": name})
    with pytest.raises(GateError, match=message):
        check_gates(record, Gates(**gates))
    check_gates(record, Gates())
    check_gates(record, Gates(**dict.fromkeys(gates, 0.5)))
    other = {"student_min_ap": "teacher_min_ap", "teacher_min_ap": "student_min_ap"}
    check_gates(record, Gates(**{other[gate]: 99.0 for gate in gates}))
    unknown = record.accuracy.model_copy(update={"numbers": record.accuracy.numbers.model_copy(update={"ap": None})})
    with pytest.raises(GateError, match="has no AP"):
        check_gates(record.model_copy(update={"accuracy": unknown}), Gates(**gates))
