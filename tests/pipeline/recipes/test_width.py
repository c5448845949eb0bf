"""A recipe of another width."""

from pathlib import Path

import pytest
import torch

from pipeline.distillers import build_methods
from pipeline.errors import RecipeError
from pipeline.recipes import build_detector, load_resolved, read_recipe, resolve, write_resolved
from pipeline.recipes.plain_settings import PlainSettings
from pipeline.recipes.width import at_width
from tests.minimal_dataset import minimal_dataset
from tests.recipe_files import read_once, recipe_of

STUDENTS = Path("configs/students")
EMBEDDED = STUDENTS / "twin_gfl_r18w16_embedded.py"
DENSE = sorted(path for path in STUDENTS.glob("*.py") if "faster_rcnn" not in path.name)


def test_backbone_neck_and_head_follow() -> None:
    assert at_width(read_recipe(EMBEDDED).to_dict(), 0.5, "it") == {
        "model.neck.out_channels": 32,
        "model.bbox_head.in_channels": 32,
        "model.bbox_head.feat_channels": 32,
        "model.backbone.base_channels": 8,
        "model.neck.in_channels": [16, 32, 64],
    }


def test_cspnext_and_its_neck_follow() -> None:
    found = at_width(read_recipe(Path("configs/teachers/rtmdet_m_300e_coco.py")).to_dict(), 0.5, "it")
    assert found == {
        "model.neck.out_channels": 96,
        "model.bbox_head.in_channels": 96,
        "model.bbox_head.feat_channels": 96,
        "model.backbone.widen_factor": 0.375,
        "model.neck.in_channels": [96, 192, 384],
    }


def test_a_backbone_with_weights_keeps_its_channels() -> None:
    found = at_width(read_recipe(STUDENTS / "twin_gfl_r50_1x_coco.py").to_dict(), 0.25, "it")
    assert found == {
        "model.neck.out_channels": 64,
        "model.bbox_head.in_channels": 64,
        "model.bbox_head.feat_channels": 64,
    }


def test_channels_stay_whole_groups_of_the_heads_norms() -> None:
    found = at_width(read_recipe(EMBEDDED).to_dict(), 0.8, "it")
    assert found["model.bbox_head.feat_channels"] == 64
    assert at_width(read_recipe(EMBEDDED).to_dict(), 0.1, "it")["model.neck.out_channels"] == 32


def test_two_stages_are_refused() -> None:
    path = STUDENTS / "twin_faster_rcnn_r18_1x_ms_coco.py"
    with pytest.raises(RecipeError, match=r"twin_faster_rcnn.*width is for .* type FPN or CSPNeXtPAFPN"):
        at_width(read_recipe(path).to_dict(), 0.5, path)


@pytest.mark.usefixtures(read_once.__name__)
@pytest.mark.parametrize("path", DENSE, ids=lambda path: path.stem)
def test_every_single_stage_recipe_builds_at_half_its_width(path: Path, tmp_path: Path) -> None:
    dataset = minimal_dataset("a", "b")
    write_resolved(tmp_path / "model.json", resolve(path, dataset, {}, PlainSettings(width=0.5)))
    recipe = load_resolved(tmp_path / "model.json")
    with torch.device("meta"):
        detector = build_detector(recipe)
    half = recipe_of(path).model.bbox_head.feat_channels / 2
    assert abs(detector.bbox_head.feat_channels - half) <= 16  # in whole groups of 32
    assert detector.bbox_head.feat_channels % 32 == 0
    convs = detector.neck.lateral_convs if recipe.config.model.neck.type == "FPN" else detector.neck.out_convs
    assert convs[0].out_channels == detector.bbox_head.in_channels


@pytest.mark.parametrize("method", ["crosskd", "crosskd_pkd", "cskd"])
def test_a_narrow_student_is_adapted_to_a_teacher_of_full_width(method: str, tmp_path: Path) -> None:
    dataset, models = minimal_dataset("a", "b"), {}
    for name, width in (
        (f"students/{method}_gfl_r101_r50_{'2x_ms' if method == 'cskd' else '1x'}_coco", 0.25),
        ("teachers/gfl_r50_1x_coco", 1.0),
    ):
        file = tmp_path / f"{width}.json"
        write_resolved(file, resolve(Path(f"configs/{name}.py"), dataset, {}, PlainSettings(width=width)))
        models[width] = load_resolved(file)
    student, teacher = build_detector(models[0.25]), build_detector(models[1.0])
    methods = build_methods(models[0.25].config.distillation.methods, student, teacher)
    assert any(parameter.shape[:2] == (256, 64) for each in methods for parameter in each.parameters())
