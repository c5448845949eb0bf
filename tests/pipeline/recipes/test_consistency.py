"""What must change together in a recipe."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RecipeError
from pipeline.recipes import resolve
from pipeline.recipes.consistency import check_caches, check_schedule, check_sizes, check_whole
from tests.minimal_dataset import minimal_dataset
from tests.recipe_files import RECIPES, read_once

STUDENTS = Path("configs/students")
TWIN = STUDENTS / "twin_gfl_r18w16_embedded.py"
CROSSKD = STUDENTS / "crosskd_gfl_mobilenetv2_r18w16_embedded.py"
COCO = STUDENTS / "twin_gfl_r50_1x_coco.py"
MULTI_SCALE = STUDENTS / "twin_gfl_r50_2x_ms_coco.py"
TRAIN, VAL = "train_dataloader.dataset.pipeline.2.scale", "val_dataloader.dataset.pipeline.1.scale"
DATASET = minimal_dataset("a")


def config(path: Path, **options: Any) -> dict[str, Any]:
    return dict(resolve(path, DATASET, options).content["config"])


@pytest.mark.usefixtures(read_once.__name__)
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_hangs_together(path: Path) -> None:
    check_whole(config(path), path, 1200)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        (
            TWIN,
            {"input_size": (320, 320)},
            rf"input_size is \[320, 320\] .*{VAL} \[256, 256\].*set input_size, {TRAIN}",
        ),
        (TWIN, {"input_size": (320, 320), VAL: (320, 320)}, rf"training resizes to {TRAIN} \[256, 256\]"),
        (TWIN, {VAL: (128, 128)}, "ships would see pictures of another size"),
        (TWIN, {"val_dataloader.dataset.pipeline.1.keep_ratio": False}, "keeps their proportions; set keep_ratio=True"),
        (COCO, {"input_size": (640, 1088)}, r"pipeline\.1\.scale \[1333, 800\]"),
        (COCO, {VAL: (1080, 640), "input_size": (640, 1088)}, r"\[1333, 800\], and evaluation to .*\[1080, 640\]"),
        (MULTI_SCALE, {VAL: (1333, 320), "input_size": (320, 1344)}, r"pipeline\.2\.scales? \[1333, 480\]"),
    ],
)
def test_sizes_that_do_not_fit_are_told_together(path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("set input_size, ", "set input_size and ")):
        check_sizes(config(path, **options), path)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (TWIN, {"input_size": (320, 320), VAL: (320, 320), TRAIN: (320, 320)}),
        (TWIN, {"input_size": (256, 320), VAL: (320, 256), TRAIN: [320, 256]}),
        (COCO, {"input_size": (640, 1088), VAL: (1080, 640), TRAIN: (1080, 640)}),
        (COCO, {"input_size": (1344, 800)}),  # a canvas for photos that are higher than wide
        (MULTI_SCALE, {VAL: (1333, 640), "input_size": (640, 1344)}),
    ],
)
def test_sizes_that_were_set_together_are_taken(path: Path, options: dict[str, Any]) -> None:
    check_sizes(config(path, **options), path)


def test_a_pipeline_that_sizes_in_another_way_is_not_judged() -> None:
    own = config(TWIN, **{"input_size": (320, 320), VAL: (320, 320)})
    own["train_dataloader"]["dataset"]["pipeline"].insert(2, {"type": "Mosaic", "img_scale": (320, 320)})
    check_sizes(own, "own.py")


@pytest.mark.parametrize(
    ("path", "options", "images", "told"),
    [
        (TWIN, {"train_cfg.max_iters": 40}, 1200, ["param_scheduler.0.end is 100 (LinearLR)", "has 40 iterations"]),
        (
            TWIN,
            {"train_cfg.max_iters": 499},
            1200,
            ["param_scheduler.1.end is 500", "set them with train_cfg.max_iters"],
        ),
        (CROSSKD, {"train_cfg.max_iters": 300}, 1200, ["distillation.schedule.decay_end is 400", "300 iterations"]),
        (CROSSKD, {"distillation.schedule.decay_end": 501}, 1200, ["decay_end is 501"]),
        (TWIN, {"param_scheduler.1.T_max": 401}, 1200, ["param_scheduler.1.T_max is 401 (CosineAnnealingLR)"]),
        (TWIN, {"param_scheduler.1.begin": 500}, 1200, ["param_scheduler.1.begin is 500"]),
        (
            COCO,
            {"train_cfg.max_epochs": 8},
            118287,
            ["param_scheduler.1.end is 12", "milestones is 8", "milestones is 11"],
        ),
        (COCO, {}, 80, ["param_scheduler.0.end is 500 (LinearLR), and the training has 480 iterations"]),
    ],
)
def test_what_lies_beyond_the_end_is_told(path: Path, options: dict[str, Any], images: int, told: list[str]) -> None:
    with pytest.raises(RecipeError) as error:
        check_schedule(config(path, **options), path, images)
    assert not [text for text in told if text not in str(error.value)]


def test_a_schedule_that_was_set_with_its_length_is_taken() -> None:
    shorter = {"train_cfg.max_iters": 40, "param_scheduler.0.end": 8, "param_scheduler.1.begin": 8}
    shorter |= {"param_scheduler.1.T_max": 32, "param_scheduler.1.end": 40}
    check_schedule(config(TWIN, **shorter), "r.py", 1200)
    kd = {"distillation.schedule.decay_begin": 20, "distillation.schedule.decay_end": 40}
    check_schedule(config(CROSSKD, **shorter, **kd), "r.py", 1200)
    check_schedule(config(COCO), "r.py", 84)  # 42 iterations an epoch, 504 in all


ODD: dict[str, list[Any]] = {
    "train_dataloader.batch_size": [0, -1, None, "8", 2.5, [8]],
    "train_dataloader.sampler": [None, "x"],
    "train_dataloader.dataset.pipeline": [None, [], "x", [{}], [{"type": "LoadImageFromFile"}]],
    "train_cfg.max_iters": [0, -3, None, "500", 1.5, [1], 10**30],
    "train_cfg.val_interval": [0, None, "x"],
    "param_scheduler": [None, [3], [{}], "x"],
    "param_scheduler.0.begin": ["x", None, [1], -1],
    "param_scheduler.0.end": ["x", None, [1], float("inf"), float("nan"), 0],
    "param_scheduler.0.by_epoch": ["x", None, 3],
    "param_scheduler.1.T_max": ["x", [1], 0],
    "optim_wrapper.optimizer": [None, 3],
    "optim_wrapper.optimizer.lr": [None, "x", 0, -1, float("nan")],
    "model.data_preprocessor": [None, [], "x"],
    "model.data_preprocessor.pad_size_divisor": [0, None, "x", -1, [32], 1.5],
    VAL: ["x", None, 0, [1], [1, 2, 3], [None, 1], {"a": 1}, -5, 1.5, [0, 0]],
    TRAIN: ["x", None, 0, [1], [1, 2, 3], [None, 1], {"a": 1}],
}


def checked(**options: Any) -> None:
    check_whole(config(TWIN, **options), TWIN, 1200)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ODD.items() for value in values])
def test_a_value_that_is_none_of_its_kind_is_told_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(RecipeError) as error:
        checked(**{key: value})
    told = re.findall(r"[a-z_]+(?:\.\w+)+|param_scheduler", str(error.value))
    assert any(each.startswith(key) or key.startswith(each) for each in told)


CACHED = {"type": "CachedMosaic", "img_scale": (8, 8)}
LOAD, PACK = {"type": "LoadImageFromFile"}, {"type": "PackDetInputs"}


def caches_in(dataset: dict[str, Any], switched: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    hooks = [{"type": "EMAHook"}, {"type": "PipelineSwitchHook", "switch_pipeline": switched or []}]
    return {"train_dataloader": {"dataset": dataset}, "custom_hooks": hooks}


def coco(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "CocoDataset", "pipeline": [*steps]}


def test_images_are_kept_by_the_steps_of_the_data_set_itself() -> None:
    check_caches(caches_in(coco(LOAD, CACHED, PACK), [LOAD, CACHED, PACK]), "r.py")
    check_caches(caches_in({"type": "RepeatDataset", "times": 2, "dataset": coco(LOAD, CACHED, PACK)}), "r.py")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            caches_in(coco(LOAD, {"type": "RandomApply", "transforms": [CACHED]})),
            "train_dataloader.dataset.pipeline.1 has CachedMosaic",
        ),
        (
            caches_in({"type": "MultiImageMixDataset", "dataset": coco(LOAD), "pipeline": [CACHED, PACK]}),
            "train_dataloader.dataset.pipeline.0 has CachedMosaic",
        ),
        (
            caches_in({"type": "MultiImageMixDataset", "dataset": coco(LOAD), "pipeline": [PACK]}, [CACHED, PACK]),
            "custom_hooks.1.switch_pipeline.0 has CachedMosaic",
        ),
    ],
)
def test_images_that_are_kept_elsewhere_are_told(content: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=rf"r\.py: steps that keep images .*\n  {told}"):
        check_caches(content, "r.py")
