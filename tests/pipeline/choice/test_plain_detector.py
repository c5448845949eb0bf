"""What of a plain configuration is taken over, what is otherwise here, and what is refused."""

import ast
from pathlib import Path
from typing import Any

import mmdet
import pytest

from pipeline.choice.backbone_source import backbone_source
from pipeline.choice.plain_detector import DATA, SCHEDULE, Adopted, adopted, is_plain
from pipeline.errors import RecipeError
from pipeline.recipes import read_recipe
from pipeline.recipes.consistency import check_whole
from tests.pipeline.choice.plain_files import plain, written

BASES = Path("configs/_base_")
RESNET = {"type": "ResNet"}
INLINE = """
model = dict(type="GFL", data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32), backbone=dict())
"""


def taken(folder: Path, text: str) -> Adopted:
    path = written(folder / "mine.py", text)
    return adopted(read_recipe(path), path)


def unscoped(node: Any) -> Any:
    """Without mmengine's marks of what is inherited from mmdet."""
    return ast.literal_eval(repr(node).replace(", '_scope_': 'mmdet'", "").replace("'_scope_': 'mmdet', ", ""))


def test_model_data_and_schedule_of_an_inheriting_file_are_its_own(tmp_path: Path) -> None:
    more = "optim_wrapper = dict(optimizer=dict(lr=0.003))\ntrain_cfg = dict(max_epochs=30)\nload_from = 'mine.pth'"
    found = taken(tmp_path, plain("GFL", more))
    config = read_recipe(tmp_path / "mine.py").to_dict()
    content = found.content
    for key in ("model", "optim_wrapper", "param_scheduler", "train_cfg", "auto_scale_lr", "load_from"):
        assert content[key] == unscoped(config[key])
    assert content["train_dataloader"]["dataset"] == {
        "type": "CocoDataset",
        "filter_cfg": {"filter_empty_gt": True, "min_size": 32},
        "pipeline": unscoped(config["train_pipeline"]),
    }
    assert (content["train_dataloader"]["batch_size"], content["input_size"], found.bases) == (2, (800, 1344), [])
    said = "\n".join(found.replaced)
    assert "num_classes: the data set's" in said
    assert (
        found.replaced.count("dataset.{ann_file, data_root, data_prefix}: the data set's (DATA=)") == 1
    )  # of both loaders
    assert "num_workers: train.workers" in said
    assert {"default_hooks", "env_cfg", "visualizer"} <= {*found.passed_over}
    # All that it says is taken, otherwise here, or said not to be read; empty values and mmdet's equal twins aside.
    spoken = {*content, *found.passed_over, "test_cfg", "val_cfg", "test_dataloader", "val_evaluator", "test_evaluator"}
    assert {key for key, value in config.items() if value} <= spoken


def test_what_has_a_counterpart_here_is_replaced_with_the_reason(tmp_path: Path) -> None:
    more = """
optim_wrapper = dict(type="AmpOptimWrapper", loss_scale="dynamic", clip_grad=dict(max_norm=3))
_voc = [dict(type="VOCDataset", ann_file=name, pipeline=_base_.train_pipeline) for name in ("2007.txt", "2012.txt")]
train_dataloader = dict(
    dataset=dict(_delete_=True, type="RepeatDataset", times=3, dataset=dict(type="ConcatDataset", datasets=_voc))
)
val_evaluator = dict(_delete_=True, type="VOCMetric", metric="mAP")
randomness = dict(seed=7)
model["test_cfg"] = dict(nms=dict(type="soft_nms", iou_threshold=0.55, min_score=0.05))
"""
    found = taken(tmp_path, plain("GFL", more))
    content, said = found.content, "\n".join(found.replaced)
    assert content["model"]["test_cfg"]["nms"] == {"type": "nms", "iou_threshold": 0.55}
    assert "model.test_cfg.nms (soft_nms): plain NMS" in said
    assert {*content["optim_wrapper"]} == {"optimizer", "clip_grad"}
    dataset = content["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["times"], {*dataset["dataset"]}) == ("RepeatDataset", 3, {"type", "pipeline"})
    # Which is what three times the images an epoch is.
    assert (content["train_cfg"]["max_epochs"], content["param_scheduler"][1]["milestones"]) == (12, [8, 11])
    for part in (
        "AmpOptimWrapper): train.precision",
        "train_dataloader.dataset (ConcatDataset, VOCDataset): the prepared",
    ):
        assert part in said
    assert "val_evaluator: every split is measured by COCO's AP" in said
    assert "randomness: set train.seed" in said
    assert not {"val_evaluator", "randomness"} & {*content}


def test_a_model_alone_gets_this_projects_data_and_schedule(tmp_path: Path) -> None:
    found = taken(tmp_path, INLINE + "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n")
    assert (found.bases, [*found.content]) == ([DATA, SCHEDULE], ["model"])
    assert f"optim_wrapper: {SCHEDULE}, as there is no train_cfg" in found.replaced


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tta_model = dict()", r"mine\.py: no `model`"),
        (INLINE + "custom_imports = dict(imports=['json'])", "custom_imports = .*later stages load modules of mmdet"),
        (INLINE + "load_from = 'https://host/epoch_12.pth'", "load_from = .*first digits of its SHA-256"),
        (INLINE + "resume = True", "resume = True: a killed training goes on by itself"),
        (
            plain(
                "GFL", "train_dataloader = dict(dataset=dict(_delete_=True, type='ClassBalancedDataset', dataset={}))"
            ),
            "must be one CocoDataset, alone or within RepeatDataset",
        ),
        (plain("GFL", "val_dataloader = dict(dataset=dict(pipeline=[dict(type='PackDetInputs')]))"), "give it one"),
        (plain("GFL", "optim_wrapper = dict(optimizer=dict(lr=-1))"), r"optim_wrapper\.optimizer\.lr"),
        (
            plain("GFL", "model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='https://host/mine.pth')"),
            "model.backbone.init_cfg = https://host/mine.pth: list the file under `backbone_weights`",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"(?s)mine\\.py.*{message}" if "no `model`" not in message else message):
        taken(tmp_path, text)


@pytest.mark.parametrize(
    ("backbone", "address", "source"),
    [
        (RESNET, "torchvision://resnet50", BASES / "weights_resnet50.py"),
        (RESNET, "open-mmlab://detectron/resnet101_caffe", BASES / "weights_resnet101_caffe.py"),
        ({"type": "MobileNetV2"}, "torchvision://mobilenet_v2", BASES / "weights_mobilenetv2.py"),
        (
            {"type": "ResNeXt"},
            "open-mmlab://resnext101_32x4d",
            {
                "layout": "detectron_resnet",
                "sha256_prefix": "a5af3160",
                "sources": ["https://download.openmmlab.com/pretrain/third_party/resnext101_32x4d-a5af3160.pth"],
            },
        ),
        (
            RESNET,
            "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
            {
                "layout": "torchvision_resnet",
                "sha256_prefix": "11ad3fa6",
                "sources": ["https://download.pytorch.org/models/resnet50-11ad3fa6.pth"],
            },
        ),
        (RESNET, "https://host/resnet50.pth", None),
        (RESNET, "torchvision://no_such_net", None),
        ({"type": "PyramidVisionTransformer"}, "https://host/pvt-0123abcd.pth", None),
    ],
)
def test_weights_of_a_backbone_get_their_hash(backbone: dict[str, Any], address: str, source: object) -> None:
    assert backbone_source(backbone, address) == source


def test_a_backbones_address_becomes_a_base_or_a_section(tmp_path: Path) -> None:
    pretrained = "model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint={!r})"
    assert taken(tmp_path, plain("GFL", pretrained.format("torchvision://resnet18"))).bases == [
        BASES / "weights_resnet18.py"
    ]
    own = taken(tmp_path, plain("GFL", pretrained.format("open-mmlab://resnext50_32x4d"))).content["backbone_weights"]
    assert own["sha256_prefix"] == "0ab1a123"


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("configs/students/twin_gfl_n_own.py", False),
        ("configs/students/crosskd_gfl_n_own.py", False),
        (f"{mmdet.__path__[0]}/.mim/configs/gfl/gfl_r50_fpn_1x_coco.py", True),
    ],
)
def test_a_recipe_is_told_from_a_plain_configuration(path: str, is_one: bool) -> None:
    assert is_plain(read_recipe(Path(path))) == is_one


ROOT = Path(mmdet.__path__[0]) / ".mim/configs"
# One of them takes a backbone of mmpretrain's.
WRITTEN = [
    path
    for path in sorted([*ROOT.glob("rtmdet/rtmdet_*_coco.py"), *ROOT.glob("yolox/yolox_*_coco.py")])
    if "convnext" not in path.name
]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_rtmdet_and_yolox_are_taken_as_they_are_written(path: Path) -> None:
    config = read_recipe(path)
    config.merge_from_dict({"model.backbone.init_cfg": None})  # weights without a hash in their names
    found, whole = adopted(config, path), unscoped(config.to_dict())
    for key in ("model", "optim_wrapper", "param_scheduler", "train_cfg", "custom_hooks"):
        assert found.content[key] == whole[key]
    dataset, original = found.content["train_dataloader"]["dataset"], whole["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["pipeline"]) == (original["type"], original["pipeline"])
    assert "dataset" not in original or dataset["dataset"]["pipeline"] == original["dataset"]["pipeline"]
    assert found.content["train_dataloader"]["batch_size"] == whole["train_dataloader"]["batch_size"]
    check_whole(found.content, path, images=118287)
