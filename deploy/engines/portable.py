"""The portable form of an exported graph: its NonMaxSuppression replaced by tensors of fixed shape alone.

TensorRT-RTX parses NonMaxSuppression and cannot build it, and its data-dependent shape makes any TensorRT wait for the
host in the middle of a graph. The replacement is :func:`deploy.graph.nms.nms_keep_in_passes`, exported from PyTorch. It
is put into the finished ONNX graph, so that every precision of an artefact (ONNX to ONNX as well) has a portable form
without an export of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto
from torch import Tensor, nn

from deploy.graph.nms import nms_keep_in_passes
from deploy.graph.onnx_export import to_onnx
from deploy.runtime.artefact import read_spec
from deploy.runtime.errors import ArtefactError, NoPortableForm

MOST_CANDIDATES = 3840
"""TensorRT's limit of TopK: its support matrix of operators, ``IGatherLayer`` and ``ITopKLayer``."""

_PREFIX = "portable_nms/"
_WITHOUT_FORM = {
    "RoiAlign": (
        "a two-stage detector, whose RoiAlign and NonZero have no portable form; run it with ONNX Runtime or "
        "OpenVINO, or ship a single-stage detector"
    ),
    "DeformConv": (
        "a detector with deformable convolutions, an operator that TensorRT does not have; run it with ONNX Runtime, "
        "or ship a detector without them"
    ),
}
"""Operators that no engine is built of, with what to do."""


class _Suppression(nn.Module):
    def __init__(self, iou_threshold: float, passes: int) -> None:
        super().__init__()
        self.iou_threshold = iou_threshold
        self.passes = passes

    def forward(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        return nms_keep_in_passes(boxes, scores, labels, self.iou_threshold, self.passes)


class _Block(NamedTuple):
    """Names of the values that go into and come out of one ``nms_keep`` of ``deploy/graph/translations.py``."""

    boxes: str
    scores: str
    labels: str
    keep: str


def read_portable(graph: Path, passes: int) -> ModelProto:
    """Read an artefact and return its portable form, with ``nms_passes`` in its metadata.

    Args:
        graph: an ONNX file of this project, with the operator NonMaxSuppression.
        passes: rounds of suppression, see :func:`deploy.graph.nms.nms_keep_in_passes`.

    Raises:
        ArtefactError: the file is no artefact of this project, its NMS is not the one that the export writes, or it
            takes more candidates than TensorRT's TopK gives.
        NoPortableForm: it holds a two-stage detector, or deformable convolutions.
    """
    spec = read_spec(graph)
    if spec.max_candidates > MOST_CANDIDATES:
        raise ArtefactError(
            f"{graph}: max_candidates is {spec.max_candidates}, TensorRT's TopK gives {MOST_CANDIDATES} at most; "
            "lower export.max_candidates and export it again"
        )
    model = onnx.load(graph)
    replace_nms(model, spec.nms_iou_threshold, passes, str(graph))
    onnx.helper.set_model_props(model, replace(spec, nms_passes=passes).to_metadata())
    onnx.checker.check_model(model, full_check=True)
    return model


def replace_nms(model: ModelProto, iou_threshold: float, passes: int, source: str) -> None:
    """Put the portable form in the place of the one NonMaxSuppression of ``model``.

    Raises:
        ArtefactError: there is not exactly one, or it is none that this project's export wrote.
    """
    block = _find_block(model.graph, source)
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    part = _suppression(iou_threshold, passes, _candidates(model, block.scores, source), opset)
    part = onnx.compose.add_prefix(part, _PREFIX)
    (old,) = (node for node in model.graph.node if block.keep in node.output)
    at = list(model.graph.node).index(old)
    nodes = [*model.graph.node[:at], *_connected(part, block), *model.graph.node[at + 1 :]]
    nodes = _needed(nodes, {value.name for value in model.graph.output})
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(part.graph.initializer)
    _drop_unread(model)


def _find_block(graph: GraphProto, source: str) -> _Block:
    """Walk from the operator to what ``nms_keep`` of ``deploy/graph/translations.py`` reads, and to its mask."""
    makers = {name: node for node in graph.node for name in node.output}
    for reason in (_WITHOUT_FORM[node.op_type] for node in graph.node if node.op_type in _WITHOUT_FORM):
        raise NoPortableForm(f"{source}: {reason}")
    found = [node for node in graph.node if node.op_type == "NonMaxSuppression"]
    if len(found) != 1:
        raise ArtefactError(f"{source}: one NonMaxSuppression is needed, got {len(found)}; export it again")
    (nms,) = found
    try:
        chosen = _expect(makers[nms.input[1]], "Where")
        labels = _expect(makers[_expect(makers[chosen.input[0]], "Equal").input[0]], "Unsqueeze").input[0]
        scores = _expect(makers[chosen.input[1]], "Unsqueeze").input[0]
        places = _expect(_reader(graph, nms.output[0], "Gather"), "Gather")
        marks = _reader(graph, places.output[0], "ScatterND")
        mask = _reader(graph, marks.output[0], "Greater")
    except (KeyError, LookupError) as error:
        raise ArtefactError(
            f"{source}: the operators around its NonMaxSuppression ({nms.name}) are not those of this project's export "
            f"({error}); export it again"
        ) from error
    return _Block(nms.input[0], scores, labels, mask.output[0])


def _expect(node: NodeProto, kind: str) -> NodeProto:
    if node.op_type != kind:
        raise LookupError(f"{kind} is needed, got {node.op_type} {node.name}")
    return node


def _reader(graph: GraphProto, value: str, kind: str) -> NodeProto:
    readers = [node for node in graph.node if value in node.input and node.op_type == kind]
    if len(readers) != 1:
        raise LookupError(f"one {kind} of {value} is needed, got {len(readers)}")
    return readers[0]


def _candidates(model: ModelProto, scores: str, source: str) -> int:
    for value in onnx.shape_inference.infer_shapes(model).graph.value_info:
        if value.name == scores and (count := value.type.tensor_type.shape.dim[1].dim_value):
            return int(count)
    raise ArtefactError(f"{source}: the number of its NMS candidates is not fixed; export it again")


@lru_cache(maxsize=4)  # the three precisions of a model have the same one, which takes PyTorch's exporter seconds
def _suppression(iou_threshold: float, passes: int, candidates: int, opset: int) -> ModelProto:
    example = {
        "boxes": torch.zeros(2, candidates, 4),
        "scores": torch.zeros(2, candidates),
        "labels": torch.zeros(2, candidates, dtype=torch.int64),
    }
    axes = {name: {0: "batch"} for name in example}
    return to_onnx(_Suppression(iou_threshold, passes), example, ["keep"], axes, opset)


def _connected(part: ModelProto, block: _Block) -> list[NodeProto]:
    """The nodes of the exported part, reading and writing the values of the graph that they are put into."""
    names = {f"{_PREFIX}{name}": value for name, value in block._asdict().items()}
    for node in part.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    return list(part.graph.node)


def _needed(nodes: Sequence[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """The nodes that the outputs are computed from, in their order; ``nodes`` are sorted topologically."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _drop_unread(model: ModelProto) -> None:
    read = {name for node in model.graph.node for name in node.input}
    written = {name for node in model.graph.node for name in node.output}
    for values, used in ((model.graph.initializer, read), (model.graph.value_info, written)):
        alive = [value for value in values if value.name in used]
        del values[:]
        values.extend(alive)
