"""Detectors that start from the weights of another one: real models, every row held against the file's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import Tensor

from pipeline.checkpoints import load_weights
from pipeline.errors import CheckpointError
from pipeline.recipes import COCO_CLASSES, Recipe, build_detector, read_recipe
from pipeline.setting_types import WeightsFile
from pipeline.storage import sha256_of
from pipeline.training import initialisation
from pipeline.training.initialisation import initialised

DIGITS = Path("configs/teachers/gfl_mobilenetv2_digits/weights.safetensors")
OWN = Path("configs/teachers/gfl_mobilenetv2_own.py")
CLASSES = ["Dog ", "a thing of one's own", "person"]
PERSON, DOG = COCO_CLASSES.index("person"), COCO_CLASSES.index("dog")
# The class layers by family: how many predictions a place has.
COCO_TWINS = {
    "gfl_r18_1x": (["bbox_head.gfl_cls"], 1),
    "atss_r50_1x": (["bbox_head.atss_cls"], 1),
    "fcos_giou_r18_1x_ms": (["bbox_head.conv_cls"], 1),
    "retinanet_r18_1x": (["bbox_head.retina_cls"], 9),
    "rtmdet_tiny_300e": ([f"bbox_head.rtm_cls.{level}" for level in range(3)], 1),
}
FASTER = "faster_rcnn_r18_1x_ms"


@pytest.fixture(autouse=True)
def _no_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MMLogger.get_current_instance().setLevel("ERROR")
    monkeypatch.setattr(initialisation, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(initialisation, "load_backbone", lambda *_: pytest.fail("fetches ImageNet's weights"))


def of_file(path: Path) -> WeightsFile:
    return WeightsFile(sources=[str(path)], sha256=sha256_of(path))


def recipe_of(path: Path, classes: list[str], init: WeightsFile | None = None) -> Recipe:
    """A recipe as it is, or where its backbone is a ResNet with few channels."""
    config = read_recipe(path)
    model = config.model
    if model.backbone.type == "ResNet":
        model.backbone.base_channels = 8
        model.neck.in_channels = [channels // 8 for channels in model.neck.in_channels]
        model.neck.out_channels = 32
        for head in (model.get("rpn_head"), model.get("bbox_head")):
            if head:
                head.in_channels = head.feat_channels = 32
    if "roi_head" in model:
        model.roi_head.bbox_roi_extractor.out_channels = model.roi_head.bbox_head.in_channels = 32
        model.roi_head.bbox_head.fc_out_channels = 16
    (model.get("bbox_head") or model.roi_head.bbox_head).num_classes = len(classes)
    return Recipe("model", path, config, classes, "none", "", init)


def coco(name: str, classes: list[str], init: WeightsFile | None = None) -> Recipe:
    return recipe_of(Path(f"configs/students/twin_{name}_coco.py"), classes, init)


def plain(recipe: Recipe, seed: int = 0) -> dict[str, Tensor]:
    """What mmdet's own initialisation makes of a recipe."""
    config = Config(recipe.config.to_dict() | {"backbone_weights": None})
    return initialised(replace(recipe, config=config, init=None), seed)[0].state_dict()


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Tensor]]]:
    """Writes a checkpoint of COCO's 80 classes as mmdet 2 published them, and returns its weights too."""

    def write(name: str, meta: dict[str, Any], rename: Callable[[str], str] = str) -> tuple[Path, dict[str, Tensor]]:
        detector = build_detector(coco(name, [*COCO_CLASSES]))
        generator, drawn = torch.Generator().manual_seed(1), {}
        # What parts of a detector share is one tensor with several names.
        state = {
            key: drawn.setdefault(value.data_ptr(), torch.rand(value.shape, generator=generator))
            if value.is_floating_point()
            else value + 7
            for key, value in detector.state_dict().items()
        }
        path = tmp_path / "published.pth"
        torch.save({"meta": meta, "state_dict": {rename(key): value for key, value in state.items()}}, path)
        return path, state

    return write


MMDET_2: dict[str, Any] = {"mmdet_version": "2.7.0", "CLASSES": COCO_CLASSES, "epoch": 12}
MMDET_3: dict[str, Any] = {"dataset_meta": {"classes": COCO_CLASSES, "palette": [(1, 2, 3)]}}


def test_classes_of_the_same_name_keep_their_rows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline")
    recipe = recipe_of(OWN, ["7", "cat", "3"], of_file(DIGITS))
    assert recipe.config.backbone_weights.layout == "torchvision_mobilenet_v2"
    detector, record = initialised(recipe, 0)
    state, fresh, given = detector.state_dict(), plain(recipe), load_weights(DIGITS)[0]
    for part in ("weight", "bias"):
        name = f"bbox_head.gfl_cls.{part}"
        rows, theirs = state.pop(name), given.pop(name)
        assert torch.equal(rows, torch.stack([theirs[7], fresh[name][1], theirs[3]]))
        assert not torch.equal(rows[0], fresh[name][0])
    assert state.keys() == given.keys()
    assert all(torch.equal(value, given[name]) for name, value in state.items())
    assert record is not None
    assert (record.tensors, record.transferred, record.new, record.left) == (362, 360, [], [])
    assert record.refitted == ["bbox_head.gfl_cls.bias", "bbox_head.gfl_cls.weight"]
    assert (record.classes, record.new_classes) == (["7", "3"], ["cat"])
    assert record.sha256 == sha256_of(DIGITS)
    assert f"model: init from {DIGITS}: transferred 362 of 362 tensors; " in caplog.text
    assert "; bbox_head.gfl_cls: 2 of 3 classes by name, new: cat\n" in caplog.text


@pytest.mark.parametrize(
    ("name", "meta", "rename"),
    [
        ("gfl_r18_1x", MMDET_2, str),
        ("atss_r50_1x", MMDET_3, str),
        ("fcos_giou_r18_1x_ms", MMDET_3, str),
        ("retinanet_r18_1x", MMDET_2, str),
        ("rtmdet_tiny_300e", MMDET_3, str),
        ("retinanet_r18_1x", {}, lambda key: f"module.{key}"),  # COCO's 80 without names, saved in DataParallel
    ],
)
def test_a_dense_detector_of_coco(
    published: Callable[..., Any], name: str, meta: dict[str, Any], rename: Callable[[str], str]
) -> None:
    path, given = published(name, meta, rename)
    layers, anchors = COCO_TWINS[name]
    recipe = coco(name, CLASSES, of_file(path))
    detector, record = initialised(recipe, 0)
    state, fresh = detector.state_dict(), plain(recipe)
    for part in (f"{layer}.{each}" for layer in layers for each in ("weight", "bias")):
        rows, own, theirs = state.pop(part), fresh[part], given.pop(part)
        assert len(rows) == anchors * 3
        for anchor in range(anchors):
            assert torch.equal(rows[anchor * 3], theirs[anchor * 80 + DOG])
            assert torch.equal(rows[anchor * 3 + 1], own[anchor * 3 + 1])
            assert torch.equal(rows[anchor * 3 + 2], theirs[anchor * 80 + PERSON])
    assert all(torch.equal(value, given[key]) for key, value in state.items())
    assert (record.classes, record.new, record.left) == (["Dog ", "person"], [], [])


def test_names_of_an_older_mmdet_are_its_own(published: Callable[..., Any]) -> None:
    def older(key: str) -> str:
        return key.replace("bbox_head.conv_cls", "bbox_head.fcos_cls").replace("head.conv_reg", "head.fcos_reg")

    path, given = published("fcos_giou_r18_1x_ms", MMDET_2, older)
    assert "bbox_head.fcos_reg.weight" in load_weights(path)[0]
    detector, record = initialised(coco("fcos_giou_r18_1x_ms", CLASSES, of_file(path)), 0)
    assert (record.new, record.left, record.classes) == ([], [], ["Dog ", "person"])
    assert torch.equal(detector.bbox_head.conv_reg.weight, given["bbox_head.conv_reg.weight"])
    assert torch.equal(detector.bbox_head.conv_cls.weight[2], given["bbox_head.conv_cls.weight"][PERSON])


def test_a_second_stage_keeps_scores_boxes_and_background(published: Callable[..., Any]) -> None:
    path, given = published(FASTER, MMDET_2)
    recipe = coco(FASTER, CLASSES, of_file(path))
    detector, record = initialised(recipe, 0)
    state, fresh = detector.state_dict(), plain(recipe)
    for part in ("weight", "bias"):
        scores, boxes = (f"roi_head.bbox_head.{layer}.{part}" for layer in ("fc_cls", "fc_reg"))
        rows, own, theirs = state.pop(scores), fresh[scores], given.pop(scores)
        assert torch.equal(rows, torch.stack([theirs[DOG], own[1], theirs[PERSON], theirs[80]]))
        rows, own, theirs = state.pop(boxes), fresh[boxes], given.pop(boxes)
        assert torch.equal(rows[:4], theirs[4 * DOG : 4 * DOG + 4])
        assert torch.equal(rows[4:8], own[4:8])
        assert torch.equal(rows[8:], theirs[4 * PERSON : 4 * PERSON + 4])
    assert all(torch.equal(value, given[key]) for key, value in state.items())
    assert len(record.refitted) == 4


def test_without_names_the_class_layers_are_new_and_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    state = build_detector(coco("retinanet_r18_1x", ["a", "b"])).state_dict()
    torch.save(state, tmp_path / "bare.pth")
    recipe = coco("retinanet_r18_1x", ["b", "a"], of_file(tmp_path / "bare.pth"))
    detector, record = initialised(recipe, 0)
    layers = ["bbox_head.retina_cls.weight", "bbox_head.retina_cls.bias"]
    assert (record.new, record.refitted, record.classes, record.new_classes) == (layers, [], [], ["b", "a"])
    fresh = plain(recipe)
    assert all(torch.equal(detector.state_dict()[name], fresh[name]) for name in layers)
    assert "all 2 classes are new: the file does not say what its classes are called; new: bbox_head" in caplog.text


def test_where_no_name_is_the_same_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline")
    _, record = initialised(recipe_of(OWN, ["cat"], of_file(DIGITS)), 0)
    assert (record.classes, record.new_classes, len(record.new)) == ([], ["cat"], 2)
    assert "all 1 classes are new: the file has no rows of these names and this shape" in caplog.text


def test_another_detector_is_an_error_that_names_both() -> None:
    recipe = coco("gfl_r18_1x", ["7"], of_file(DIGITS))
    with pytest.raises(CheckpointError) as error:
        initialised(recipe, 0)
    found = str(error.value)
    assert str(DIGITS) in found
    assert "twin_gfl_r18_1x_coco.py (GFL), less than half" in found
    assert "and 342 more\nUse weights of this detector" in found


def test_another_hash_is_an_error(tmp_path: Path) -> None:
    wanted = WeightsFile(sources=[str(DIGITS)], sha256_prefix="00000000")
    with pytest.raises(CheckpointError, match=r"another file: it has sha256 8999243.*expected 00000000\.\.\."):
        initialised(recipe_of(OWN, ["7"], wanted), 0)


def test_a_file_that_is_none_of_weights_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>")
    with pytest.raises(CheckpointError, match=r"page\.pth: damaged or not a file of weights .* web page"):
        initialised(recipe_of(OWN, ["7"], of_file(tmp_path / "page.pth")), 0)


def test_the_backbone_of_the_recipe_is_fetched_where_init_does_not_cover_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(initialisation, "load_backbone", lambda backbone, source: fetched.append(source["layout"]))
    state = load_weights(DIGITS)[0]
    del state["backbone.conv1.conv.weight"]
    torch.save({"state_dict": state, "meta": {}}, tmp_path / "partial.pth")
    _, record = initialised(recipe_of(OWN, ["7"], of_file(tmp_path / "partial.pth")), 0)
    assert fetched == ["torchvision_mobilenet_v2"]
    assert "backbone.conv1.conv.weight" in record.new
