"""Export: trained weights to one self-contained ONNX file that describes itself."""

from copy import deepcopy
from dataclasses import replace
from math import lcm
from pathlib import Path
from typing import Any

import onnx
import torch

from deploy.graph.export_check import check_export
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.onnx_export import to_onnx, trace
from deploy.graph.opsets import check_opset
from deploy.graph.specification import describe
from deploy.runtime.artefact import INPUT_NAME, OUTPUT_NAMES, SIZES_NAME, ArtefactSpec
from deploy.runtime.images import read_image
from deploy.runtime.onnx_file import sealed
from deploy.runtime.split import Split
from pipeline.checkpoints import load_detector
from pipeline.datasets.prepared import find_split, measured_split, read_dataset
from pipeline.deploy_records import ExportCheck, ExportRecord, TensorInfo
from pipeline.deploy_settings import ExportSettings
from pipeline.detectors.batch_norm import separate_convolutions
from pipeline.detectors.kinds import dense_head
from pipeline.errors import DatasetError, SettingsError
from pipeline.gates import refuse
from pipeline.recipes import Recipe
from pipeline.settings import Gates
from pipeline.storage import sha256_of, write_atomic


def export_model(
    recipe: Recipe,
    weights: Path,
    dataset_dir: Path,
    split: str,
    settings: ExportSettings,
    artefact: Path,
    recommended_score: float | None = None,
) -> ExportRecord:
    """Write ``artefact`` from trained weights and compare it with PyTorch on images of a prepared data set's ``split``.

    Where that is ``test`` and the data set has none, they are val's.
    ``recommended_score`` is kept in it, see :class:`ArtefactSpec`.

    Raises:
        RecipeError: the detector cannot be exported faithfully.
        CheckpointError: the weights do not fit the recipe.
        DatasetError: the split does not exist or has no images.
        ImageError: an image of the split cannot be read.
        ArtefactError: ONNX Runtime cannot run the written file.
    """
    dataset = read_dataset(dataset_dir)
    measured = measured_split(dataset, split)
    images = [read_image(path) for path in check_images(dataset_dir, measured, settings.check_images)]
    stock = load_detector(recipe, weights)
    spec = describe(recipe, stock.data_preprocessor, sha256_of(weights), dataset.name, settings)
    detector = DeployableDetector(stock, replace(spec, recommended_score=recommended_score))
    export_onnx(detector, artefact, settings.opset)
    return record_of(recipe.name, artefact, settings.opset, check_export(detector, artefact, images))


def export_onnx(detector: DeployableDetector, path: Path, opset: int) -> None:
    """Write one ONNX file with dynamic batch size, the specification in its metadata, in one atomic step.

    Height and width are dynamic too if the specification says so.

    Equal weights and equal library versions give an equal file: what the exporter notes beside each node (source
    files and lines of this machine) is removed.

    Raises:
        SettingsError: the installed onnx does not know ``opset``.
        RecipeError: ``opset`` lacks an operator of the detector.
    """
    if opset > (newest := onnx.defs.onnx_opset_version()):
        raise SettingsError(f"params.yaml: export.opset: {opset} is unknown, the installed onnx knows up to {newest}")
    check_opset(detector, opset)
    model = _graph(detector, opset)
    onnx.helper.set_model_props(model, detector.spec.to_metadata())
    onnx.checker.check_model(model, full_check=True)
    write_atomic(path, sealed(model.SerializeToString()))


def _graph(detector: DeployableDetector, opset: int) -> onnx.ModelProto:
    detector = separated(detector)
    spec, images = detector.spec, example_images(detector)
    sizes = torch.tensor([images.shape[1:3]] * len(images), device=images.device)
    inputs = dict(zip(spec.input_names, (images, sizes), strict=False))
    axes = open_axes(spec)
    module = trace(detector, inputs, axes) if spec.dynamic_size else detector
    return to_onnx(module, inputs, OUTPUT_NAMES, axes, opset)


def separated(detector: DeployableDetector) -> DeployableDetector:
    """A copy whose convolutions have one user each: otherwise their batch norms would stay in the graph."""
    copy = deepcopy(detector)
    separate_convolutions(copy)
    return copy


def example_images(detector: DeployableDetector) -> torch.Tensor:
    """What the exporter traces a detector with: two images, because it takes every side of one for a constant.

    For the same reason, no map of a dynamic size may have one row or column, and none may be square.
    """
    spec = detector.spec
    height, width = spec.input_height, spec.input_width
    if spec.dynamic_size:
        stock = detector.detector
        first_head = dense_head(stock)
        strides = [stride[0] for stride in first_head.prior_generator.strides]
        step = lcm(spec.size_divisor or 1, *strides)
        height, width = 3 * step, 4 * step
    return torch.zeros((2, height, width, 3), dtype=torch.uint8, device=detector.canvas.device)


def open_axes(spec: ArtefactSpec) -> dict[str, dict[int, str]]:
    """Of each input the axes that are open in the graph, and their names."""
    if not spec.dynamic_size:
        return {INPUT_NAME: {0: "batch"}}
    return {INPUT_NAME: {0: "batch", 1: "height", 2: "width"}, SIZES_NAME: {0: "batch"}}


def record_of(model: str, artefact: Path, opset: int, check: ExportCheck) -> ExportRecord:
    """Describe a written artefact by what the file itself holds."""
    graph = onnx.load(artefact)
    return ExportRecord(
        model=model,
        file=artefact.as_posix(),
        sha256=sha256_of(artefact),
        file_size=artefact.stat().st_size,
        opset=opset,
        inputs=[_tensor_info(value) for value in graph.graph.input],
        outputs=[_tensor_info(value) for value in graph.graph.output],
        metadata={prop.key: prop.value for prop in graph.metadata_props},
        check=check,
    )


def _tensor_info(value: Any) -> TensorInfo:
    tensor = value.type.tensor_type
    return TensorInfo(
        name=value.name,
        dtype=str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)),
        shape=[dimension.dim_param or dimension.dim_value for dimension in tensor.shape.dim],
    )


def check_images(dataset_dir: Path, split: str, count: int) -> list[Path]:
    """At most ``count`` image files of a split, evenly spread over it.

    Raises:
        DatasetError: the data set has no such split, or the split has no images.
    """
    annotations, image_root = find_split(dataset_dir, split)
    names = Split.read(annotations).files
    if not names:
        raise DatasetError(f"{annotations}: no images to check the export with")
    count = min(count, len(names))
    return [image_root / names[position * len(names) // count] for position in range(count)]


def check_gates(record: ExportRecord, gates: Gates) -> None:
    """Hold an export against the limits of ``params.yaml``.

    Raises:
        GateError: naming each number that crossed its limit, or that nothing was there to compare.
    """
    check = record.check
    broken = [
        f"gates.{name}: {value:.6g} is {'below' if smallest else 'above'} the limit {limit:g}"
        for name, value, limit, smallest in (
            ("export_max_box_difference_px", check.max_box_difference_px, gates.export_max_box_difference_px, False),
            ("export_max_score_difference", check.max_score_difference, gates.export_max_score_difference, False),
            ("export_min_matched", check.matched, gates.export_min_matched, True),
        )
        if limit is not None and value is not None and (value < limit if smallest else value > limit)
    ]
    if gates.export_min_matched is not None and not check.detections:
        broken.append(
            f"gates.export_min_matched: neither PyTorch nor ONNX Runtime found anything in {check.images} images, so "
            "nothing was compared; train longer, lower export.score_threshold, or set the gate to null"
        )
    refuse(f"{record.file} breaks the gates of params.yaml", broken)
