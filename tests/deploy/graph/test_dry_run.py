"""Recipes that a later stage could not build, run or export are told before anything is trained."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.graph.dry_run import dry_run
from pipeline.errors import RecipeError
from pipeline.recipes import Recipe, load_resolved, resolve, resolve_all, write_resolved
from pipeline.records import DatasetRecord
from pipeline.setting_types import WeightsFile
from pipeline.settings import PARAMS_FILE, Params, load_params
from tests.minimal_dataset import minimal_dataset
from tests.other_detectors import other_config

STUDENTS = Path("configs/students").resolve()
TWIN = STUDENTS / "twin_gfl_r18w16_embedded.py"
EVERY = ("teacher", "student", "twin", "crosskd", "cskd")
"""What is exported."""
TEACHER = Path("configs/teachers/gfl_mobilenetv2_embedded.py").resolve()
PAIRS = {
    "gfl": ("gfl_r50_1x_coco", "crosskd_gfl_r50_r18_1x_coco"),
    "faster_rcnn": ("faster_rcnn_r50_2x_coco", "cskd_faster_rcnn_r50_r18_1x_ms_coco"),
    "fcos": ("fcos_giou_r50_2x_ms_coco", "cskd_fcos_giou_r50_r18_1x_ms_coco"),
    "rtmdet": ("rtmdet_l_300e_coco", "crosskd_rtmdet_l_tiny_300e_coco"),
    "swin": ("retinanet_swint_1x_coco", "crosskd_retinanet_swint_r50_1x_coco"),
}
DEFORMABLE = """
model = dict(
    backbone=dict(depth=50, dcn=dict(type='DCNv2', deform_groups=1), stage_with_dcn=(False, True, True, True)),
    neck=dict(in_channels=[128, 256, 512]),
)
"""
OTHER_HEAD = """
model = dict(
    bbox_head=dict(
        _delete_=True,
        type='FreeAnchorRetinaHead',
        num_classes=1,
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=8, scales_per_octave=1,
                              strides=[8, 16, 32, 64, 128]),
        loss_bbox=dict(type='GIoULoss'),
    )
)
"""
MISSPELT_STEP = """
_steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scales=(256, 256)), dict(type='PackDetInputs')]
train_dataloader = dict(dataset=dict(pipeline=_steps))
"""
Make = Callable[..., Recipe]


@pytest.fixture
def dataset() -> DatasetRecord:
    return minimal_dataset("a")


@pytest.fixture
def make(dataset: DatasetRecord, tmp_path: Path) -> Make:
    """Resolves a recipe, or an own one that inherits the embedded twin."""

    def made(name: str, path: Path | str, options: Mapping[str, Any] | None = None) -> Recipe:
        if isinstance(path, str):
            file = tmp_path / "own.py"
            file.write_text(f"_base_ = [{str(TWIN)!r}]\n{path}\n")
            path = file
        write_resolved(tmp_path / f"{name}.json", resolve(path, dataset, options or {}))
        return load_resolved(tmp_path / f"{name}.json")

    return made


@pytest.mark.parametrize("dynamic_size", [False, True])
@pytest.mark.parametrize("family", PAIRS)
def test_published_pairs_pass_at_full_size(make: Make, family: str, dynamic_size: bool) -> None:
    teacher, student = PAIRS[family]
    recipes = {"teacher": make("teacher", TEACHER.with_name(f"{teacher}.py"))}
    dry_run(recipes | {"student": make("student", STUDENTS / f"{student}.py")}, dynamic_size, EVERY, opset=18)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(backbone=dict(base_channels=32))", r"does not run on a picture of 256 x 256: .*in_channels"),
        ("model = dict(bbox_head=dict(in_channels=32))", r"does not run on a picture"),
        ("model = dict(backbone=dict(depth=19))", r"model.*invalid depth 19"),
        ("model = dict(backbone=dict(hight=3))", r"unexpected keyword argument 'hight'"),
        (
            DEFORMABLE,
            r"backbone\.layer2\.0\.conv2 is a deformable convolution, .* set it to 19",
        ),
        ("model = dict(test_cfg=dict(nms=dict(type='soft_nms')))", "only plain 'nms' can be exported"),
        ("model = dict(bbox_head=dict(type='FreeAnchorRetinaHead'))", "mmdet cannot build the model: .*'loss_dfl'"),
        ("optim_wrapper = dict(optimizer=dict(momentun=0.9))", "optim_wrapper cannot be built: .*'momentun'"),
        ("param_scheduler = [dict(type='StepLR', by_epoch=False)]", r"param_scheduler\.0 cannot be built: .*step_size"),
        ("param_scheduler = [dict(type='ConstantLR', by_epoch=True)]", "counts epochs and train_cfg iterations"),
        ("custom_hooks = [dict(type='CheckInvalidLossHook', each=1)]", r"custom_hooks\.0 cannot be built: .*"),
        (
            MISSPELT_STEP,
            r"train_dataloader\.dataset\.pipeline\.1 cannot be built: .*'scales'",
        ),
        ("backbone_weights = dict(sources=['x.pth'], layout='torchvision_resnet')", "exactly one of sha256"),
        ("auto_scale_lr = dict(enable=True)", "auto_scale_lr.base_batch_size is None"),
        ("distillation = dict(methods=[dict(type='CrosKD')])", r"unknown type 'CrosKD'; did you mean 'CrossKD'"),
        ("distillation = dict(methods=[dict(type='PKD')])", "PKD: the student's FPN is 64 channels wide"),
        ("distillation = dict(schedule=dict(decay=3), methods=[dict(type='PKD', adapter=True)])", "decay"),
    ],
)
def test_what_a_later_stage_would_refuse_is_told_with_the_file(make: Make, text: str, message: str) -> None:
    recipes = {"teacher": make("teacher", TEACHER), "student": make("student", text)}
    with pytest.raises(RecipeError, match=rf"(?s)own\.py.*{message}|{message}.*own\.py|own\.py: {message}"):
        dry_run(recipes, False, EVERY, opset=18)


def test_a_neck_that_takes_multiples_alone_is_told_where_sizes_are_open(make: Make) -> None:
    twin = STUDENTS / "twin_rtmdet_tiny_300e_coco.py"
    student = make("student", twin, {"model.data_preprocessor.pad_size_divisor": 16})
    recipes = {"teacher": make("teacher", TEACHER), "student": student}
    with pytest.raises(RecipeError, match=r"twin_rtmdet.* canvas of 656 x 656, .* \(16\): .*; set that to 32"):
        dry_run(recipes, True, EVERY, opset=18)


def test_deformable_convolutions_pass_in_a_version_of_onnx_that_has_them(make: Make) -> None:
    recipes = {"teacher": make("teacher", TEACHER), "student": make("student", DEFORMABLE)}
    dry_run(recipes, False, EVERY, opset=19)


def test_an_init_of_a_head_whose_class_layers_are_not_known_is_told(make: Make) -> None:
    student = replace(make("student", OTHER_HEAD), init=WeightsFile(sources=["a.pth"], sha256="0" * 64))
    with pytest.raises(
        RecipeError, match=r"own\.py: GFL \(FreeAnchorRetinaHead\): it is not known which of its layers .*init"
    ):
        dry_run({"teacher": make("teacher", TEACHER), "student": student}, False, EVERY, opset=18)


def test_a_teacher_that_cannot_be_built_is_told_too(make: Make) -> None:
    wrong = make("teacher", TEACHER, {"model.neck.in_channels": [32, 96, 128]})
    with pytest.raises(RecipeError, match=r"gfl_mobilenetv2_embedded\.py: the detector does not run"):
        dry_run({"teacher": wrong}, False, EVERY, opset=18)


@pytest.mark.parametrize("name", ["cascade", "centernet", "dino"])
def test_a_detector_that_cannot_be_exported_passes_where_it_is_not(make: Make, name: str) -> None:
    teacher = make("teacher", TEACHER)
    student = make("student", f"model = dict(_delete_=True, **{other_config(name)!r})")
    dry_run({"teacher": teacher, "student": student}, False, ("teacher",), opset=18)
    message = (
        rf"(?s)own\.py: .*{name}.*\nexport\.models in params\.yaml lists student, of which no artefact can be made: "
        r".*Take it out of export\.models: .* Artefacts can be made of: teacher$"
    )
    with pytest.raises(RecipeError, match=message.replace(name, {"dino": "DINO"}.get(name, "C"))):
        dry_run({"teacher": teacher, "student": student}, False, EVERY, opset=18)


@pytest.mark.parametrize(
    ("name", "part", "change", "message"),
    [
        ("dino", "neck", {"in_channels": [16, 32, 32]}, "does not run on a picture of 256 x 256"),
        ("cascade", "roi_head", {"mask_head": {"type": "FCNMaskHead"}}, "CascadeRCNN has a mask head"),
        ("centernet", "bbox_head", {"in_channels": 8}, "does not run on a picture of 256 x 256"),
    ],
)
def test_what_does_not_fit_in_one_is_told(
    make: Make, name: str, part: str, change: dict[str, Any], message: str
) -> None:
    model = other_config(name)
    model[part] |= change
    recipes = {
        "teacher": make("teacher", TEACHER),
        "student": make("student", f"model = dict(_delete_=True, **{model!r})"),
    }
    with pytest.raises(RecipeError, match=rf"own\.py: .*{message}"):
        dry_run(recipes, False, (), opset=18)


def test_the_embedded_run_passes_and_a_refused_one_leaves_the_earlier_recipes(
    dataset: DatasetRecord, tmp_path: Path
) -> None:
    accept = partial(dry_run, dynamic_size=False, exported=EVERY, opset=18)
    params = load_params(PARAMS_FILE)
    resolve_all(params, dataset, tmp_path / "out", accept)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert {f"{name}.json" for name in ("teacher", *params.trained)} <= before.keys()
    content = params.model_dump()
    content["students"]["cskd"]["options"] = {"model.backbone.base_channels": 32}
    with pytest.raises(RecipeError, match=r"cskd_gfl_mobilenetv2_r18w16_embedded\.py: the detector does not run"):
        resolve_all(Params.model_validate(content), dataset, tmp_path / "out", accept)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
