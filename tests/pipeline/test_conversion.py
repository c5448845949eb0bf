"""Published checkpoints by the names and shapes that the published code gives its full-size students."""

import json
import lzma
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.checkpoints import load_strict, load_weights
from pipeline.conversion import convert, main, split_training_parts
from pipeline.errors import CheckpointError
from pipeline.recipes import build_plain, read_recipe

KEYS = Path(__file__).parents[1] / "data/cskd_keys.json.xz"
STUDENTS = Path("configs/students")
RECIPES = {
    "cskd_faster_rcnn_r101_distill_r50_fpn_coco_2x": "cskd_faster_rcnn_r101_r50_2x_ms_coco",
    "cskd_faster_rcnn_r50_distill_r18_fpn_coco_1x": "cskd_faster_rcnn_r50_r18_1x_ms_coco",
    "cskd_fcos_r101_distill_r50_fpn_coco_2x": "cskd_fcos_giou_r101_r50_2x_ms_coco",
    "cskd_fcos_r50_distill_r18_fpn_coco_1x": "cskd_fcos_giou_r50_r18_1x_ms_coco",
    "cskd_gfl_r101_distill_r50_fpn_coco_2x": "cskd_gfl_r101_r50_2x_ms_coco",
    "cskd_gfl_r50_distill_r18_fpn_coco_1x": "cskd_gfl_r50_r18_1x_ms_coco",
    "cskd_retina_r101_distill_r50_fpn_coco_2x": "cskd_retinanet_r101_r50_2x_ms_coco",
}
SMALLEST = "cskd_gfl_r50_distill_r18_fpn_coco_1x"


@cache
def published_shapes() -> dict[str, dict[str, list[int]]]:
    return json.loads(lzma.decompress(KEYS.read_bytes()))


def recipe(config: str) -> Path:
    return STUDENTS / f"{RECIPES[config]}.py"


def test_every_published_list_of_keys_is_tested() -> None:
    assert published_shapes().keys() == RECIPES.keys()


@pytest.mark.parametrize("config", RECIPES)
def test_the_student_of_each_published_checkpoint_fits_the_stock_detector(config: str) -> None:
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in published_shapes()[config].items()}
        student, dropped = split_training_parts(state)
        detector = build_plain(read_recipe(recipe(config)), recipe(config))
        load_strict(detector, student, config)
    assert student.keys() == detector.state_dict().keys()
    assert dropped
    assert all("distill_" in name or "assis" in name for name in dropped)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint as mmdet 2.x writes it, full size, with recognisable values."""
    state: dict[str, Tensor] = {}
    for place, (name, shape) in enumerate(published_shapes()[SMALLEST].items()):
        whole = name.endswith("num_batches_tracked")
        state[name] = torch.tensor(place) if whole else torch.full(shape, float(place))
    path = tmp_path / "epoch_12.pth"
    torch.save(
        {"meta": {"epoch": 12, "mmdet_version": "2.22.0"}, "state_dict": state, "optimizer": {"state": {}}}, path
    )
    return path


def test_a_checkpoint_becomes_safetensors_of_the_student_alone(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    out = tmp_path / "student.safetensors"
    main([str(checkpoint), "--recipe", str(recipe(SMALLEST)), "--out", str(out)])
    assert "loads strictly; 99 tensors of the training left out" in caplog.text
    state, metadata = load_weights(out)
    order = list(published_shapes()[SMALLEST])
    assert metadata["source"] == "epoch_12.pth"
    for name, value in state.items():
        assert (value == order.index(name)).all(), name


def test_what_is_left_over_or_missing_is_named(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["bbox_head.mystery.weight"] = torch.ones(1)
    del content["state_dict"]["backbone.conv1.weight"]
    other = tmp_path / "other.pth"
    torch.save(content, other)
    with pytest.raises(CheckpointError) as error:
        convert(other, recipe(SMALLEST), tmp_path / "student.safetensors")
    assert "1 missing: backbone.conv1.weight" in str(error.value)
    assert "1 unexpected: bbox_head.mystery.weight" in str(error.value)
    assert not (tmp_path / "student.safetensors").exists()


def test_bad_arguments_are_explained(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match=r"student\.pth: the result is a \.safetensors file"):
        convert(checkpoint, recipe(SMALLEST), tmp_path / "student.pth")
    wrong = recipe("cskd_retina_r101_distill_r50_fpn_coco_2x")
    with pytest.raises(CheckpointError, match="does not fit RetinaNet"):
        convert(checkpoint, wrong, tmp_path / "student.safetensors")
    with pytest.raises(SystemExit, match=r"absent\.pth: no such file"):
        main([str(tmp_path / "absent.pth"), "--recipe", str(wrong), "--out", str(tmp_path / "x.safetensors")])
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--recipe" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "is_training"),
    [
        ("bbox_head.distill_neck.0.mimic_conv.weight", True),
        ("bbox_head.assis_scales.4.scale", True),
        ("roi_head.bbox_head.assist_fc_cls.bias", True),
        ("rpn_head.assist_rpn_reg.weight", True),
        ("bbox_head.scales.4.scale", False),
        ("bbox_head.undistill_neck.weight", False),
    ],
)
def test_a_part_is_told_by_how_its_name_begins(name: str, is_training: bool) -> None:
    student, dropped = split_training_parts({name: torch.ones(1)})
    assert (name in dropped) == is_training
    assert (name in student) == (not is_training)
