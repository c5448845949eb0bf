"""What of a recipe is honoured, and what is told of the rest."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RecipeError
from pipeline.recipes import (
    Recipe,
    build_detector,
    check_initialised,
    load_resolved,
    pretrained_parts,
    resolve,
    write_resolved,
)
from pipeline.records import DatasetRecord
from tests.minimal_dataset import minimal_dataset

TWIN = Path("configs/students/twin_gfl_r18w16_embedded.py")
COCO = TWIN.with_name("twin_gfl_r50_1x_coco.py")
TRAIN, VAL = "_base_.train_dataloader.dataset = ", "_base_.val_dataloader.dataset = "
PACK, COCO_ALONE = "[dict(type='PackDetInputs')]", "dict(type='CocoDataset')"


@pytest.fixture
def dataset() -> DatasetRecord:
    return minimal_dataset("a")


def written(folder: Path, text: str, base: Path = TWIN) -> Path:
    path = folder / "own.py"
    path.write_text(f"_base_ = [{str(base.resolve())!r}]\n{text}\n")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "load_from = 'https://host/detector.pth'",
            r"load_from = 'https.*pth': a detector's .*`init` of a student, .* first digits of its SHA-256",
        ),
        (
            "init = dict(sources=['detector.pth'])",
            "init = .*: give it as `init` of the student, the twin or the teacher",
        ),
        ("resume = True", "resume = True: a killed training goes on by itself"),
        ("optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')", r"optim_wrapper = .*train\.precision"),
        ("optim_wrapper = dict(dtype='float16')", r"leave out type, dtype and loss_scale: train\.precision"),
        ("randomness = dict(seed=3)", r"randomness = {'seed': 3}: set train\.seed"),
        ("custom_imports = dict(imports=['json'])", "custom_imports = .*later stages load modules of mmdet"),
        ("default_hooks = dict(ema=dict(type='EMAHook'))", "default_hooks = .*under custom_hooks"),
        ("default_hooks = dict(param_scheduler=dict(type='ParamSchedulerHook', x=1))", "under custom_hooks"),
        ("val_evaluator = dict(type='VOCMetric')", "val_evaluator = .*COCO's AP of boxes"),
        ("test_evaluator = dict(type='CocoMetric', metric=['bbox', 'segm'])", "test_evaluator"),
        ("val_evaluator = [dict(type='CocoMetric')]", "val_evaluator"),
        ("val_cfg = dict(type='ValLoop', fp16=True)", r"val_cfg = .*train\.precision"),
        ("train_cfg = dict(val_begin=3)", "train_cfg = .*max_iters or max_epochs"),
        ("train_cfg = dict(max_epochs=3)", "train_cfg = .*max_iters or max_epochs"),
        ("train_dataloader = dict(dataset=dict(type='ConcatDataset'))", "one CocoDataset, alone or within RepeatDa"),
        (f"{TRAIN}dict(type='RepeatDataset', times=2, dataset=dict(type='VOCDataset'))", "be one CocoDataset"),
        (f"{TRAIN}dict(type='RepeatDataset', dataset=dict(type='CocoDataset'))", "be one CocoDataset"),
        (
            f"{TRAIN}dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=_base_.train_dataloader.dataset)",
            "the section `data` of params.yaml, where several files become one",
        ),
        (
            f"{TRAIN}dict(type='MultiImageMixDataset', dynamic_scale=(8, 8), pipeline={PACK}, dataset={COCO_ALONE})",
            "which take nothing else",
        ),
        ("val_dataloader = dict(dataset=dict(type='VOCDataset'))", "dataset must be one CocoDataset"),
        (f"{VAL}dict(type='RepeatDataset', times=2, dataset=_base_.val_dataloader.dataset)", "with no other around it"),
        ("test_dataloader = dict(dataset=dict(pipeline=[]))", "set val_dataloader, which is read for every split"),
        ("backbone_weight = dict()", r"backbone_weight: did you mean 'backbone_weights'\?"),
        ("distilation = dict()", r"distilation: did you mean 'distillation'\?"),
    ],
)
def test_what_would_be_dropped_is_told_with_what_to_use(
    dataset: DatasetRecord, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=rf"(?s)own\.py sets what is not honoured here:.*{message}"):
        resolve(written(tmp_path, text), dataset, {})


def test_all_that_is_dropped_is_told_at_once(dataset: DatasetRecord, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"(?s)load_from.*resume"):
        resolve(written(tmp_path, "load_from = 'https://host/x.pth'\nresume = True"), dataset, {})


@pytest.mark.parametrize(
    "text",
    [
        "load_from = None\nresume = False\nlauncher = 'none'\nrandomness = dict(seed=None)",
        "default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=9), logger=None)",
        "lr = 0.1\nimage_size = (8, 8)\ntrain_pipeline = []\nvisualizer = dict(type='Visualizer')",
        "val_evaluator = dict(type='CocoMetric', metric=['bbox'], proposal_nums=(100, 1, 10))",
        "find_unused_parameters = True",
    ],
)
def test_what_decides_nothing_is_passed_over(dataset: DatasetRecord, tmp_path: Path, text: str) -> None:
    content = resolve(written(tmp_path, text), dataset, {}).content["config"]
    plain = resolve(TWIN, dataset, {}).content["config"]
    assert content == plain | ({"find_unused_parameters": True} if "unused" in text else {})


@pytest.mark.parametrize(
    ("key", "value", "cure"),
    [
        ("train_dataloader.num_workers", 8, r"train\.workers"),
        ("val_dataloader.dataset.ann_file", "x.json", "the section `data`"),
        ("train_cfg.type", "IterBasedTrainLoop", "max_iters or max_epochs"),
        ("model.bbox_head.num_classes", 3, "the number of classes is the data set's"),
        ("model.test_cfg.score_thr", 0.5, r"export\.score_threshold"),
        ("model.test_cfg.nms.iou_threshold", 0.5, "nms_iou_threshold"),
        ("train_pipeline.2.scale", (8, 8), "options may begin with model, input_size"),
        ("default_hooks.checkpoint.interval", 5, "custom_hooks"),
        ("load_from", "x.pth", r"`init` of a student, a twin or the teacher in params\.yaml, with sources and a hash"),
    ],
)
def test_an_option_that_nobody_reads_is_told_what_to_use(
    dataset: DatasetRecord, key: str, value: Any, cure: str
) -> None:
    with pytest.raises(RecipeError, match=f"options: '{key}' of .*changes nothing here: .*{cure}"):
        resolve(COCO, dataset, {key: value})


def test_a_misspelt_option_is_told_the_nearest(dataset: DatasetRecord) -> None:
    with pytest.raises(RecipeError, match=r"no 'max_itres' there\); did you mean 'max_iters'\?"):
        resolve(TWIN, dataset, {"train_cfg.max_itres": 5})


def model(**parts: Any) -> dict[str, Any]:
    return {"model": {"type": "GFL", **parts}}


PRETRAINED = {"type": "Pretrained", "checkpoint": "torchvision://resnet18"}


def test_a_part_that_would_start_from_random_weights_is_told() -> None:
    own = model(backbone={"type": "ResNet", "init_cfg": PRETRAINED})
    with pytest.raises(
        RecipeError, match=r"model\.backbone\.init_cfg = torchvision://resnet18: list the file under `bac"
    ):
        check_initialised(own, "own.py")
    check_initialised(own | {"backbone_weights": {"sources": []}}, "own.py")
    head = model(bbox_head={"init_cfg": [{"type": "Normal"}, PRETRAINED]}) | {"backbone_weights": {"sources": []}}
    with pytest.raises(
        RecipeError, match=r"model\.bbox_head\.init_cfg = .*only a backbone can start from a checkpoint"
    ):
        check_initialised(head, "own.py")
    assert pretrained_parts(model(init_cfg=PRETRAINED)["model"]) == {"model": "torchvision://resnet18"}


ELSEWHERE = {
    "backbone=dict(pretrained='torchvision://resnet18')": r"model\.backbone asks for the checkpoint 'torchvision://resnet18'",
    "backbone=dict(init_cfg=dict(type='mmengine.Pretrained', checkpoint='x'))": r"model\.backbone\.init_cfg = x",
    "backbone=dict(init_cfg=[dict(type='Pretrained', checkpoint='x')])": r"model\.backbone\.init_cfg = x",
    "bbox_head=dict(init_cfg=dict(type='Normal', override=dict(type='Pretrained', name='gfl_cls', checkpoint='x')))": (
        r"model\.bbox_head\.init_cfg = x"
    ),
    "init_cfg=dict(type='Pretrained', checkpoint='x')": r"model\.init_cfg = x",
}


@pytest.mark.parametrize(("part", "message"), ELSEWHERE.items(), ids=range(len(ELSEWHERE)))
def test_no_way_to_a_checkpoint_without_a_hash_is_left(
    dataset: DatasetRecord, tmp_path: Path, part: str, message: str
) -> None:
    path = written(tmp_path, f"model = dict({part})")
    write_resolved(tmp_path / "own.json", resolve(path, dataset, {}))
    recipe = load_resolved(tmp_path / "own.json")
    with pytest.raises(RecipeError, match=message):
        check_and_build(recipe)


def check_and_build(recipe: Recipe) -> None:
    """As a training does."""
    check_initialised(recipe.config, recipe.path)
    build_detector(recipe).init_weights()
