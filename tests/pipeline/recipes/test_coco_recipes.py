"""The published recipes at full size: what they inherit, and the whole way from two tiny images to an artefact."""

import json
import shutil
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.layers import CSPLayer, ResLayer
from torch import nn

from deploy.graph.export import export_model
from deploy.ladder.pytorch_rung import evaluate_model, published_ap
from pipeline.checkpoints import load_detector, load_weights, save_weights
from pipeline.choice.recipes import read_choice
from pipeline.dataset_settings import DataSettings
from pipeline.datasets.folder_format import detect
from pipeline.datasets.preparation import prepare
from pipeline.recipes import COCO_CLASSES, Recipe, build_detector, load_resolved, read_recipe, resolve, write_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import Params, TrainSettings
from pipeline.training import TrainingJob, train
from tests.recipe_files import recipe_of

STUDENTS = Path("configs/students")
TEACHERS = Path("configs/teachers")
RECIPES = sorted(path.stem for path in STUDENTS.glob("*_coco.py") if not path.stem.startswith("twin_"))
UNPUBLISHED = [name for name in RECIPES if "_rtmdet_" in name or "_yolox_" in name]
STEPPED = [
    *(name for name in RECIPES if name not in UNPUBLISHED),
    "crosskd_pkd_rtmdet_m_tiny_300e_coco",
    "cskd_rtmdet_l_tiny_300e_coco",
    "cskd_yolox_l_s_300e_coco",
]
"""Of RTMDet's recipes every method and every teacher once, and one of YOLOX's."""
TWINS = sorted(path.stem for path in STUDENTS.glob("twin_*_coco.py"))
HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COCO's layout and classes with two images a split and, in train, a box of no height."""
    root = tmp_path_factory.mktemp("coco")
    categories = [{"id": number, "name": name} for number, name in enumerate(COCO_CLASSES, start=1)]
    (root / "annotations").mkdir()
    for split, first in (("train", 1), ("val", 3)):
        (root / f"{split}2017").mkdir()
        images, annotations = [], []
        for number in (first, first + 1):
            pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            cv2.imwrite(str(root / f"{split}2017/{number}.png"), pixels)
            images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
            box = {"id": number, "image_id": number, "category_id": number, "bbox": [8, 8, 40, 40]}
            annotations.append({**box, "area": 1600, "iscrowd": 0})
        if split == "train":
            annotations.append({**annotations[0], "id": 99, "bbox": [5, 5, 10, 0]})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def dataset(coco: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetRecord, Path]:
    """The folder as `make use` and the data stage prepare it."""
    choice = read_choice([STUDENTS / "crosskd_gfl_r50_r18_1x_coco.py"], detect(coco))
    out = tmp_path_factory.mktemp("prepared") / "data"
    return prepare(DataSettings.model_validate(choice["data"]), out), out


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    yield tmp_path
    shutil.rmtree(tmp_path)  # half a gigabyte a recipe


def test_all_published_configurations_are_there() -> None:
    published = [recipe for recipe in RECIPES if recipe not in UNPUBLISHED]
    families = {name: [recipe for recipe in published if recipe.startswith(f"{name}_")] for name in ("crosskd", "cskd")}
    assert {name: len(recipes) for name, recipes in families.items()} == {"crosskd": 11, "cskd": 10}
    methods = ("crosskd", "crosskd_pkd", "cskd", "pkd")
    pairs = ("rtmdet_l_tiny", "rtmdet_l_s", "rtmdet_m_tiny", "yolox_l_s", "yolox_l_tiny")
    assert {*UNPUBLISHED} == {f"{method}_{pair}_300e_coco" for method in methods for pair in pairs}
    assert {recipe_of(STUDENTS / f"{name}.py").twin for name in RECIPES} == {
        str(STUDENTS / f"{name}.py") for name in TWINS
    }
    named = {recipe_of(STUDENTS / f"{name}.py").teacher for name in RECIPES}
    assert named == {str(path) for path in TEACHERS.glob("*_coco.py")}


@cache
def resolved_config(path: Path) -> dict[str, Any]:
    classes = DatasetRecord(
        name="coco", title="COCO", composed=False, classes=list(COCO_CLASSES), splits={}, credits=[], findings=[]
    )
    resolved = resolve(path, classes, {})
    return {**resolved.content["config"], "published": resolved.origin.published}


def content(path: str | Path) -> dict[str, Any]:
    return deepcopy(resolved_config(Path(path)))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_its_twin_with_a_method(name: str) -> None:
    recipe = recipe_of(STUDENTS / f"{name}.py")
    distilled, twin = (content(path) for path in (STUDENTS / f"{name}.py", recipe.twin))
    methods = "+".join(method["type"] for method in distilled.pop("distillation")["methods"])
    named = {"crosskd": "CrossKD", "cskd": "CSKD", "pkd": "PKD"}[name.split("_")[0]]
    assert methods == named + ("+PKD" if "_pkd_" in name else "")
    published, alone = distilled.pop("published"), twin.pop("published", {})
    assert alone.items() <= published.items()
    assert distilled == twin
    teacher = content(recipe.teacher)
    assert published["teacher"] == teacher["published"]["teacher"]
    for key in ("mean", "std", "bgr_to_rgb"):
        assert distilled["model"]["data_preprocessor"].get(key) == teacher["model"]["data_preprocessor"].get(key)


# (epochs, learning rate, largest gradient, frozen stages, smallest short side, AP published with the method)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("crosskd_gfl_r101_r50_1x_coco", (12, 0.01, None, 1, 800, 43.7)),
        ("crosskd_gfl_r50_r18_1x_coco", (12, 0.01, None, 1, 800, None)),
        ("crosskd_retinanet_r101_r50_2x_coco", (24, 0.01, None, 1, 800, 39.7)),
        ("crosskd_retinanet_r50_r18_1x_coco", (12, 0.01, None, 1, 800, None)),
        ("crosskd_retinanet_swint_r50_1x_coco", (12, 0.01, None, 1, 800, 38.0)),
        ("crosskd_fcos_r101_r50_2x_ms_coco", (24, 0.01, 35, 1, 640, 41.1)),
        ("crosskd_atss_r101_r50_1x_coco", (12, 0.01, None, 1, 800, 41.8)),
        ("crosskd_pkd_gfl_r101_r50_1x_coco", (12, 0.01, None, 1, 800, 43.9)),
        ("crosskd_pkd_retinanet_r101_r50_2x_coco", (24, 0.01, None, 1, 800, 39.8)),
        ("crosskd_pkd_fcos_r101_r50_2x_ms_coco", (24, 0.01, 35, 1, 640, 41.3)),
        ("crosskd_pkd_atss_r101_r50_1x_coco", (12, 0.01, None, 1, 800, 41.8)),
        ("cskd_faster_rcnn_r101_r50_2x_ms_coco", (24, 0.02, 35, -1, 640, 41.0)),
        ("cskd_faster_rcnn_r50_r18_1x_ms_coco", (12, 0.02, 35, -1, 640, 36.6)),
        ("cskd_retinanet_r101_r50_2x_ms_coco", (24, 0.01, 35, -1, 640, 40.2)),
        ("cskd_retinanet_r101_r18_1x_ms_coco", (12, 0.01, 35, -1, 640, 35.8)),
        ("cskd_retinanet_r50_r18_1x_ms_coco", (12, 0.01, 35, -1, 640, 35.2)),
        ("cskd_fcos_giou_r101_r50_2x_ms_coco", (24, 0.01, 35, -1, 640, 42.0)),
        ("cskd_fcos_giou_r101_r18_1x_ms_coco", (12, 0.01, 35, -1, 640, None)),
        ("cskd_fcos_giou_r50_r18_1x_ms_coco", (12, 0.01, 35, -1, 640, 35.9)),
        ("cskd_gfl_r101_r50_2x_ms_coco", (24, 0.01, 35, -1, 480, 44.5)),
        ("cskd_gfl_r50_r18_1x_ms_coco", (12, 0.01, 35, -1, 480, 38.9)),
    ],
)
def test_schedules_and_published_numbers(name: str, expected: tuple[Any, ...]) -> None:
    config = content(STUDENTS / f"{name}.py")
    wrapper, steps = config["optim_wrapper"], config["param_scheduler"][-1]
    resizing = config["train_dataloader"]["dataset"]["pipeline"][2]
    scales = resizing.get("scales", resizing.get("scale"))
    shortest = min(min(scale) for scale in (scales if isinstance(scales, list) else [scales]))
    epochs = config["train_cfg"]["max_epochs"]
    found = (
        epochs,
        wrapper["optimizer"]["lr"],
        (wrapper.get("clip_grad") or {}).get("max_norm"),
        config["model"]["backbone"]["frozen_stages"],
        shortest,
        config["published"].get("distilled"),
    )
    assert found == expected
    assert steps["milestones"] == {12: [8, 11], 24: [16, 22]}[epochs]
    assert steps["end"] == epochs
    assert config["auto_scale_lr"] == {"enable": True, "base_batch_size": 16}
    assert config["train_dataloader"]["batch_size"] == 2


OF_MMDET = [*TEACHERS.glob("*_300e_coco.py"), *STUDENTS.glob("twin_*_300e_coco.py")]


@pytest.mark.parametrize("path", sorted(OF_MMDET), ids=lambda path: path.stem)
def test_what_mmdet_has_files_of_is_trained_as_they_say(path: Path, tmp_path: Path) -> None:
    kind, size = path.stem.removeprefix("twin_").split("_")[:2]
    batch = {"rtmdet": 32, "yolox": 8}[kind]
    (tmp_path / "stock.py").write_text(f"_base_ = 'mmdet::{kind}/{kind}_{size}_8xb{batch}-300e_coco.py'")
    config, stock = content(path), read_recipe(tmp_path / "stock.py")
    model = stock.model.to_dict()
    model["data_preprocessor"]["pad_size_divisor"] = 32
    assert without_scope(config["model"]) == without_scope(model)
    for key in ("optim_wrapper", "param_scheduler", "train_cfg", "custom_hooks"):
        assert without_scope(config[key]) == without_scope(stock[key]), key
    steps = config["train_dataloader"]["dataset"]["pipeline"]
    assert without_scope(steps) == without_scope(stock.train_dataloader.dataset.pipeline)
    assert config["train_dataloader"]["batch_size"] == batch
    assert config["auto_scale_lr"] == {"enable": True, "base_batch_size": 8 * batch}
    published = {
        "rtmdet": {"l": 51.3, "m": 49.1, "s": 44.5, "tiny": 40.9},
        "yolox": {"l": 49.4, "s": 40.5, "tiny": 32.0},
    }
    assert config["published"] == {"student" if "twin" in path.stem else "teacher": published[kind][size]}


def without_scope(node: Any) -> Any:
    """Without the note that mmengine leaves in what is inherited by ``mmdet::``, and tuples as lists."""
    if isinstance(node, dict):
        return {key: without_scope(value) for key, value in node.items() if key != "_scope_"}
    return [without_scope(value) for value in node] if isinstance(node, list | tuple) else node


@pytest.mark.parametrize("path", sorted(TEACHERS.glob("*_coco.py")), ids=lambda path: path.stem)
def test_a_teacher_is_published_with_its_hash_or_trained_here(path: Path) -> None:
    config = recipe_of(path)
    unpublished = path.stem.startswith("fcos_giou") or "swint" in path.stem
    assert ("checkpoint" in config) != unpublished
    for source in (config.get("checkpoint"), config.get("backbone_weights")):
        if source:
            assert source["sources"][0].endswith(f"-{source['sha256_prefix']}.pth")


def shrunk(path: Path, dataset: DatasetRecord, folder: Path, name: str) -> Recipe:
    """The recipe with tiny images, one epoch and random weights; the detector keeps its size."""
    config = content(path)
    place, resizing = next(
        (place, step)
        for place, step in enumerate(config["train_dataloader"]["dataset"]["pipeline"])
        if "Resize" in step["type"]
    )
    key = "scales" if "scales" in resizing else "scale"
    short = (WIDTH, HEIGHT // 2)
    cropped_and_filled: dict[str, Any] = {
        f"{loader}.dataset.pipeline.{place}.{size}": (WIDTH, HEIGHT)
        for loader in ("train_dataloader", "val_dataloader")
        for place, step in enumerate(config[loader]["dataset"]["pipeline"])
        for size in ("crop_size", "size", "img_scale")
        if size in step
    }
    smaller = cropped_and_filled | {
        f"train_dataloader.dataset.pipeline.{place}.{key}": [short, (WIDTH, HEIGHT)]
        if isinstance(resizing[key], list)
        else short,
        "val_dataloader.dataset.pipeline.1.scale": (WIDTH, HEIGHT),
        "train_cfg.max_epochs": 1,
        "train_cfg.val_interval": 1,
        "train_dataloader.batch_size": 2,
        "input_size": (HEIGHT, WIDTH),
    }
    resolved = resolve(path, dataset, smaller)
    resolved.content["config"].pop("backbone_weights", None)
    resolved.content["config"]["model"]["backbone"]["init_cfg"] = None
    write_resolved(folder / f"{name}.json", resolved)
    return load_resolved(folder / f"{name}.json")


def params(choice: dict[str, Any]) -> Params:
    return Params.model_validate(
        {
            "data": choice["data"],
            "teacher": choice["teacher"],
            "twins": choice["twins"],
            "students": choice["students"],
            "export": {**choice["export"], "score_threshold": 0.0001, "check_images": 2},
            "benchmark": {"backends": ["onnxruntime"]},
            "evaluate": {"resamples": 2, "batch_size": 2},
            "train": {"device": "cpu"},
        }
    )


@cache
def one_of_each_head() -> set[str]:
    """Evaluation and export see no more of a recipe than its detector: heads on both kinds of ResNet's blocks."""
    models = {name: content(STUDENTS / f"{name}.py")["model"] for name in STEPPED}
    return set(
        {
            (model["type"], model.get("bbox_head", {}).get("norm_on_bbox")): name for name, model in models.items()
        }.values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPPED)
def test_one_step_at_full_size_is_saved_evaluated_and_exported(
    name: str, coco: Path, dataset: tuple[DatasetRecord, Path], scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (record, data) = STUDENTS / f"{name}.py", dataset
    source = recipe_of(path)
    settings = params(read_choice([path], detect(coco)))
    recipe = shrunk(path, record, scratch, "student")
    teacher = build_detector(shrunk(Path(source.teacher), record, scratch, "teacher"))
    if "_yolox_" in name:
        damp(teacher)
    file = scratch / "teacher.safetensors"
    file.write_bytes(b"stands for the file in the fingerprint")
    training = TrainSettings(device="cpu", precision="fp32", workers=0)
    weights = scratch / "student.safetensors"
    trained = train(TrainingJob(recipe, record, data, training, (teacher, file)), weights)
    assert trained.iterations == 1
    losses = trained.points[0].losses
    assert {key for key, value in losses.items() if key.endswith("_kd") and value > 0}
    load_detector(recipe, weights)
    assert published_ap(recipe, settings) == source.published.get("distilled")
    if name in one_of_each_head():
        with_area(weights)
        evaluated = evaluate_model(recipe, weights, data, settings, scratch / "detections.json")
        assert evaluated.published_ap == source.published.get("distilled")
        assert evaluated.accuracy.images == 2
        monkeypatch.setattr("deploy.graph.export.load_detector", shallow)
        artefact = scratch / "student.onnx"
        exported = export_model(recipe, weights, data, "test", settings.export, artefact)
        assert exported.check.matched > 0.9


def shallow(recipe: Recipe, weights: Path) -> BaseDetector:
    """The trained student with one of every run of equal layers: an export takes time by the layer."""
    detector = load_detector(recipe, weights)
    runs = [module for module in detector.modules() if isinstance(module, ResLayer)]
    runs += [module.blocks for module in detector.modules() if isinstance(module, CSPLayer)]
    for name in ("cls_convs", "reg_convs", "multi_level_cls_convs", "multi_level_reg_convs"):
        if towers := getattr(getattr(detector, "bbox_head", None), name, None):
            runs += towers if isinstance(towers[0], nn.ModuleList | nn.Sequential) else [towers]
    assert any(len(run) > 1 for run in runs)
    for run in runs:
        del run[1:]
    return detector


def damp(teacher: BaseDetector) -> None:
    """Random layers of so many under SiLU let numbers grow beyond what exponents of box sizes take."""
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 0.7)


def with_area(weights: Path) -> None:
    """RTMDet-tiny and -s predict distances and not their logarithms: before it has learnt any, no box has an area."""
    state, kept = load_weights(weights)
    for name in state:
        if ".rtm_reg." in name and name.endswith("bias"):
            state[name] = state[name] + 1
    save_weights(weights, state, kept)


def test_coco_s_own_layout_is_prepared_with_every_dropped_box_listed(dataset: tuple[DatasetRecord, Path]) -> None:
    record, _ = dataset
    assert record.classes == list(COCO_CLASSES)
    assert {name: split.images for name, split in record.splits.items()} == {"train": 2, "val": 2}
    groups = [group for group in record.findings if "has no box" not in group.kind]
    assert groups[0].examples[0].startswith("annotation 99: bbox [5, 5, 10, 0] has no area; left out")
    assert "val, which also chooses, is measured" in groups[1].kind
