"""From a torch module to an ONNX graph: the one place that calls PyTorch's exporter."""

import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import cast

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from deploy.graph.translations import STANDARD
from pipeline.errors import RecipeError

Axes = Mapping[str, Mapping[int, str]]
"""Of each input the axes that are open in the graph, and their names."""


def to_onnx(
    module: nn.Module | ExportedProgram,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str] | None,
    axes: Axes,
    opset: int,
) -> onnx.ModelProto:
    """Export a module, in the oldest format that has its operators.

    What the exporter notes beside each node (files and lines of this machine) is removed.

    Args:
        module: a module that takes ``inputs`` in their order, or its trace.
        inputs: examples by name, with two images: the exporter takes every axis of one for a constant.
        outputs: names of the graph's outputs, in the order of the module's; None leaves them to the exporter.
        axes: of each input.
        opset: version of the standard operators.
    """
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=list(inputs),
            output_names=None if outputs is None else list(outputs),
            dynamic_shapes=tuple(dict(axes[name]) for name in inputs),
            custom_translation_table=STANDARD,
            external_data=False,
        )
    model = _without_notes(cast(torch.onnx.ONNXProgram, program).model_proto)
    # The exporter writes the newest format it knows (10), which shuts out run times that know all operators in it.
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    return model


def trace(module: nn.Module, inputs: Mapping[str, Tensor], axes: Axes) -> ExportedProgram:
    """Trace a module with ``axes`` open, for :func:`to_onnx`.

    Left to trace by itself, ``torch.onnx.export`` (torch 2.14) takes an axis for a constant without a word where the
    module's code makes it one (mmdet's Swin Transformer does), and the graph is wrong at every other size.

    Raises:
        RecipeError: height, width or the number of images do not stay open.
    """
    shapes = tuple(dict.fromkeys(axes[name], Dim.DYNAMIC) for name in inputs)
    # Two ways to trace, in the order of torch.onnx.export: len(tensor) is a constant to the first one alone.
    for strict in (False, True):
        try:
            return torch.export.export(module, tuple(inputs.values()), dynamic_shapes=shapes, strict=strict)
        except Exception as error:  # whatever tracing a detector's code can end in
            reason = error
    raise RecipeError(
        "export.dynamic_size: the detector's code needs a fixed size; set it to false in params.yaml. torch.export "
        f"says: {reason}"
    ) from reason


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without what the exporter notes beside its parts: source files and lines of this machine."""
    graph = model.graph
    for part in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model
