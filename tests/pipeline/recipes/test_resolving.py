"""Resolving recipes: inheritance, classes, options and clear errors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.distillers import build_methods, build_schedule
from pipeline.errors import RecipeError
from pipeline.recipes import (
    build_detector,
    load_resolved,
    pretrained_parts,
    read_recipe,
    resolve,
    resolve_all,
    without_pretrained,
    write_resolved,
)
from pipeline.records import DatasetRecord, SplitRecord
from pipeline.settings import Params

TWIN = Path("configs/students/twin_gfl_r18w16_embedded.py")
TEACHER = Path("configs/teachers/gfl_mobilenetv2_embedded.py")
EMBEDDED = {
    "crosskd_gfl_mobilenetv2_r18w16_embedded": (TWIN, "CrossKD"),
    "crosskd_pkd_gfl_mobilenetv2_r18w16_embedded": (TWIN, "CrossKD PKD"),
    "cskd_gfl_mobilenetv2_r18w16_embedded": (TWIN, "CSKD"),
    "crosskd_gfl_mobilenetv2_mobilenetv2_embedded": (TWIN.with_name("twin_gfl_mobilenetv2_embedded.py"), "CrossKD"),
}
CROSSKD = TWIN.with_name("crosskd_gfl_mobilenetv2_r18w16_embedded.py")


@pytest.fixture
def dataset() -> DatasetRecord:
    return DatasetRecord(
        name="toy", title="Toy", composed=True, classes=["a", "b", "c"], splits={}, credits=[], findings=[]
    )


@pytest.mark.parametrize("name", EMBEDDED)
def test_twin_and_student_differ_in_the_method_only(dataset: DatasetRecord, name: str) -> None:
    path, methods = EMBEDDED[name]
    twin, student = (resolve(each, dataset, {}).content["config"] for each in (path, TWIN.with_name(f"{name}.py")))
    assert [method["type"] for method in student.pop("distillation")["methods"]] == methods.split()
    assert student == twin


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_recipe_fits_the_embedded_teacher(dataset: DatasetRecord, name: str, tmp_path: Path) -> None:
    recipes = []
    for file in (TWIN.with_name(f"{name}.py"), TEACHER):
        write_resolved(tmp_path / f"{file.stem}.json", resolve(file, dataset, {}))
        recipes.append(load_resolved(tmp_path / f"{file.stem}.json"))
    student, teacher = map(build_detector, recipes)
    distillation = recipes[0].config.distillation
    build_methods(distillation.methods, student, teacher)
    end = build_schedule(distillation.get("schedule", {})).decay_end
    assert end is None or end < recipes[0].config.train_cfg.max_iters


def test_the_embedded_recipes_are_all_held_against_their_twins() -> None:
    found = {path.stem for path in TWIN.parent.glob("*_embedded.py")}
    assert found == {*EMBEDDED, *(twin.stem for twin, _ in EMBEDDED.values())}


@pytest.mark.parametrize(
    "path", sorted(Path("configs/students").glob("*.py")) + sorted(Path("configs/teachers").glob("*.py"))
)
def test_every_recipe_resolves_survives_the_file_and_builds(path: Path, dataset: DatasetRecord, tmp_path: Path) -> None:
    target = tmp_path / "model.json"
    resolved = resolve(path, dataset, {})
    write_resolved(target, resolved)
    recipe = load_resolved(target)
    expected = resolved.content["config"]
    if "backbone_weights" in expected:
        expected["backbone_weights"]["sources"] = read_recipe(path).backbone_weights.sources
    assert recipe.config.to_dict() == expected
    assert recipe.path == path
    # At full size without the memory of its weights; mmdet's Swin Transformer reads values as it is built.
    with torch.device("cpu" if "swint" in path.stem and path.parts[1] == "teachers" else "meta"):
        detector = build_detector(recipe)
    assert getattr(detector, "roi_head", detector).bbox_head.num_classes == 3


def test_an_inherited_change_changes_the_resolved_file(dataset: DatasetRecord, tmp_path: Path) -> None:
    for name in ("base", "child"):
        (tmp_path / f"{name}.py").write_text(TWIN.read_text() if name == "base" else "_base_ = ['./base.py']\n")
    base = Path("configs/_base_").resolve()
    text = f"_base_ = ['{base}/student_gfl_r18w16.py']\n"
    (tmp_path / "base.py").write_text(text)
    before = resolve(tmp_path / "child.py", dataset, {})
    (tmp_path / "base.py").write_text(text + "optim_wrapper = dict(optimizer=dict(lr=0.5))\n")
    after = resolve(tmp_path / "child.py", dataset, {})
    assert before != after


def test_what_decides_no_weight_is_not_in_the_resolved_file(dataset: DatasetRecord, tmp_path: Path) -> None:
    weights = "backbone_weights = dict(layout='torchvision_resnet', sha256_prefix='0676ba61', sources=['a.pth'])\n"
    base = f"_base_ = [{str(CROSSKD.resolve())!r}]\n{weights}"
    forms = {
        "one": base + "published = dict(student=40.2)\noptim_wrapper = dict(optimizer=dict(lr=0.5, eps=1e-7))\n",
        "renamed": base + "optim_wrapper=dict( optimizer = dict(eps=1e-7, lr=0.5) )  # as before\n",
        "moved": base.replace("a.pth", "b.pth") + "optim_wrapper = dict(optimizer=dict(lr=0.5, eps=1e-7))\n",
        "other": base + "optim_wrapper = dict(optimizer=dict(lr=0.25, eps=1e-7))\n",
    }
    for name, text in forms.items():
        (tmp_path / f"{name}.py").write_text(text)
        write_resolved(tmp_path / name / "student.json", resolve(tmp_path / f"{name}.py", dataset, {}))
    one, renamed, moved, other = (load_resolved(tmp_path / name / "student.json") for name in forms)
    assert one.sha256 == renamed.sha256 == moved.sha256 != other.sha256
    assert [recipe.config.backbone_weights.sources for recipe in (one, moved)] == [["a.pth"], ["b.pth"]]
    assert (one.path, one.published) == (tmp_path / "one.py", {"student": 40.2})
    assert (renamed.path, renamed.published) == (tmp_path / "renamed.py", {})


def test_options_override_single_keys(dataset: DatasetRecord) -> None:
    resolved = resolve(CROSSKD, dataset, {"train_cfg.max_iters": 7, "distillation.methods.0.reused_head_index": 2})
    assert resolved.content["config"]["train_cfg"]["max_iters"] == 7
    assert resolved.content["config"]["distillation"]["methods"][0]["reused_head_index"] == 2


@pytest.mark.parametrize("key", ["train_cfg.max_iter", "distillation.methods.1.type", "nothing"])
def test_an_option_without_its_key_is_an_error(dataset: DatasetRecord, key: str) -> None:
    with pytest.raises(RecipeError, match=f"'{key}' names no key of"):
        resolve(CROSSKD, dataset, {key: 1})


def test_missing_recipe_and_missing_keys_are_named(dataset: DatasetRecord, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.py: cannot be read as a recipe"):
        resolve(tmp_path / "absent.py", dataset, {})
    (tmp_path / "short.py").write_text("model = dict(type='GFL')\n")
    with pytest.raises(RecipeError, match=r"'input_size'.* are missing"):
        resolve(tmp_path / "short.py", dataset, {})


@pytest.mark.parametrize(
    ("scale", "edges"), [((1333, 800), (1333, 800)), ([800, 1333], (1333, 800)), (640, (640, 640))], ids=str
)
def test_the_scale_of_the_test_pipeline(
    dataset: DatasetRecord, tmp_path: Path, scale: Any, edges: tuple[int, int]
) -> None:
    options = {"val_dataloader.dataset.pipeline.1.scale": scale}
    write_resolved(tmp_path / "twin.json", resolve(TWIN, dataset, options))
    assert load_resolved(tmp_path / "twin.json").test_scale == edges


@pytest.mark.parametrize("change", [{"keep_ratio": False}, {"type": "RandomResize"}, {"scale": None}], ids=str)
def test_a_test_pipeline_without_a_scale_is_named(
    dataset: DatasetRecord, tmp_path: Path, change: dict[str, Any]
) -> None:
    options = {f"val_dataloader.dataset.pipeline.1.{key}": value for key, value in change.items()}
    write_resolved(tmp_path / "twin.json", resolve(TWIN, dataset, options))
    with pytest.raises(RecipeError, match=r"twin_gfl.*\.py: val_dataloader\.dataset\.pipeline needs one Resize"):
        _ = load_resolved(tmp_path / "twin.json").test_scale


def test_a_recipe_may_inherit_mmdets_own(dataset: DatasetRecord, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'\n")
    local = tmp_path / "recipe.py"
    local.write_text("_base_ = 'own.py'\ninput_size = (800, 1344)\n")
    resolved = resolve(local, dataset, {})
    assert resolved.content["config"]["model"]["backbone"]["depth"] == 50
    assert resolved.content["config"]["model"]["bbox_head"]["num_classes"] == 3
    assert pretrained_parts(resolved.content["config"]["model"]) == {"model.backbone": "torchvision://resnet50"}


@pytest.mark.parametrize(
    "line", ["x = undefined", "x = 1 / 0", "_base_ = 'mmdet::no/such.py'", "_base_ = 'nothing::x.py'", "x = ("]
)
def test_a_recipe_that_cannot_be_run_is_named(dataset: DatasetRecord, tmp_path: Path, line: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(line + "\n")
    with pytest.raises(RecipeError, match=r"broken\.py: cannot be read as a recipe: \w+Error: "):
        resolve(path, dataset, {})


def test_a_damaged_resolved_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such resolved recipe"):
        load_resolved(tmp_path / "absent.json")
    (tmp_path / "cut.json").write_text('{"path": "x"')
    with pytest.raises(RecipeError, match="not a resolved recipe"):
        load_resolved(tmp_path / "cut.json")


def test_equal_recipes_are_equal_files(dataset: DatasetRecord, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_resolved(tmp_path / name, resolve(CROSSKD, dataset, {}))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert json.loads((tmp_path / "one").read_text())["classes"] == ["a", "b", "c"]


def test_building_fetches_nothing() -> None:
    from mmengine.config import ConfigDict

    model = ConfigDict(backbone={"init_cfg": {"type": "Pretrained", "checkpoint": "x"}}, init_cfg={"type": "Normal"})
    cleaned = without_pretrained(model)
    assert cleaned.backbone.init_cfg is None
    assert cleaned.init_cfg.type == "Normal"
    assert model.backbone.init_cfg.type == "Pretrained"


@pytest.mark.parametrize(
    ("section", "path", "message"),
    [
        ("students", TWIN, r"students\.one: .*embedded\.py has no method under `distillation`; it belongs to `twins`"),
        ("twins", CROSSKD, r"twins\.one: .* has the method CrossKD under `distillation`; it belongs to `students`"),
    ],
)
def test_a_recipe_in_the_wrong_section_is_told_the_right_one(
    dataset: DatasetRecord, tmp_path: Path, section: str, path: Path, message: str
) -> None:
    content: dict[str, Any] = {"data": {}, "teacher": {"config": TEACHER}, section: {"one": {"recipe": path}}}
    content |= {"export": {"models": ["one"]}, "benchmark": {"backends": ["onnxruntime"]}}
    train = SplitRecord(
        annotations="train.json",
        image_root=".",
        sha256="0" * 64,
        images=1200,
        boxes=1,
        crowd_boxes=0,
        images_without_boxes=0,
        boxes_per_class={},
    )
    dataset = dataset.model_copy(update={"splits": {"train": train}})
    with pytest.raises(RecipeError, match=message):
        resolve_all(Params.model_validate(content), dataset, tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()
