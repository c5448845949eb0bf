"""Artefacts of a recipe with random weights: for what does not depend on them, which is speed and not accuracy."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import torch
from mmengine.config import Config, ConfigDict

import pipeline  # noqa: F401  (before mmdet is imported)
from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.specification import padding_colour
from deploy.precision.calibration import activation_ranges, choose_images
from deploy.precision.fp16 import to_fp16
from deploy.precision.network import load_exported
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.onnx_file import sealed
from pipeline.deploy_settings import CalibrationSettings
from pipeline.layout import DATASET
from pipeline.recipes import without_pretrained

from mmdet.registry import MODELS  # isort: skip
from mmdet.utils import register_all_modules  # isort: skip

_NO_HASH = "0" * 64
_OPSET = 18


@dataclass(frozen=True)
class Artefacts:
    """A detector, its files by precision, and what they say about themselves."""

    detector: DeployableDetector
    files: dict[str, Path]
    spec: ArtefactSpec


def export_random(recipe: Path, size: tuple[int, int], folder: Path) -> tuple[DeployableDetector, Path]:
    """Build the model of ``recipe`` with random weights and export it for ``size`` (height and width)."""
    register_all_modules(init_default_scope=True)
    config = Config.fromfile(str(recipe))
    torch.manual_seed(0)
    stock = MODELS.build(without_pretrained(ConfigDict(config.model))).eval()
    classes = tuple(f"class {number}" for number in range(stock.bbox_head.num_classes))
    spec = ArtefactSpec(
        model=recipe.stem,
        classes=classes,
        input_height=size[0],
        input_width=size[1],
        color_order="bgr",
        resize_rule="letterbox",
        pad_value=padding_colour(stock.data_preprocessor),
        score_threshold=0.001,
        nms_iou_threshold=0.6,
        nms_passes=0,
        max_candidates=1000,
        max_detections=100,
        precision="fp32",
        recipe=recipe.as_posix(),
        recipe_sha256=_NO_HASH,
        weights_sha256=_NO_HASH,
        dataset="none",
    )
    detector = DeployableDetector(stock, spec)
    exported = folder / f"{recipe.stem}.onnx"
    export_onnx(detector, exported, _OPSET)
    return detector, exported


def make_artefacts(recipe: Path, size: int, folder: Path) -> Artefacts:
    """Build the model of ``recipe`` for ``size`` x ``size`` pixels and write it in every precision.

    int8 is calibrated on 16 images of the prepared data set, every layer is quantised. The score threshold is low
    enough for a detector that is sure of nothing: NMS has as many candidates as it takes.
    """
    detector, exported = export_random(recipe, (size, size), folder)
    spec = detector.spec
    model, _ = load_exported(exported)
    ranges = activation_ranges(model, spec, choose_images(DATASET, CalibrationSettings(images=16)).files, CALIBRATED)
    graphs = {"fp16": to_fp16(model)}
    graphs |= {name: Quantiser(model, ranges, form).keeping(()) for name, form in FORMS.items()}
    files = {"fp32": exported}
    for precision, graph in graphs.items():
        files[precision] = folder / f"{recipe.stem}.{precision}.onnx"
        metadata = {**replace(spec, precision=precision).to_metadata(), "parent_sha256": json.dumps(_NO_HASH)}
        onnx.helper.set_model_props(graph, metadata)
        files[precision].write_bytes(sealed(graph.SerializeToString()))
    return Artefacts(detector, files, spec)
