"""Which layers are better left in fp32: found by measuring, on images that neither train nor test the model.

First all layers are quantised and scored. Only if that costs more AP than is allowed, each layer is quantised alone and
the layers are ranked by how far the head's outputs move. Then the worst 1, 2, 4, ... are kept in fp32 until the AP is
within the limit; if it never is, the best of the tried sets is taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from deploy.precision.graph_editing import copy_of, replace_content
from deploy.precision.network import network_outputs
from deploy.precision.quantisation import Quantiser
from deploy.precision.validation_slice import ValidationSlice
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.preprocess import graph_inputs
from deploy.runtime.resources import usable_cores
from pipeline.deploy_records import KeptLayer, LayerSearch
from pipeline.deploy_settings import SearchSettings


@dataclass(frozen=True)
class Candidate:
    """A graph, the layers that it keeps in fp32, its AP on the slice and how far that is below the fp32 graph's."""

    model: onnx.ModelProto
    kept: tuple[KeptLayer, ...]
    ap: float | None
    drop: float


def search_layers(
    quantiser: Quantiser,
    spec: ArtefactSpec,
    validation: ValidationSlice,
    fp32_ap: float | None,
    settings: SearchSettings,
) -> tuple[onnx.ModelProto, LayerSearch]:
    """Quantise as many layers as the AP on ``validation`` allows; returns the graph and the record of the search.

    ``fp32_ap`` is that of the graph as it is; nothing is kept where it is None, for want of a box to find.
    """
    tried: list[Candidate] = []
    for kept in _sets_to_keep(quantiser, spec, validation, settings):
        graph = quantiser.keeping(layer.layer for layer in kept)
        ap = validation.ap(graph, spec)
        tried.append(Candidate(graph, kept, ap, 0.0 if fp32_ap is None or ap is None else fp32_ap - ap))
        if tried[-1].drop <= settings.max_map_drop:
            break
    best = min(tried, key=lambda candidate: candidate.drop)
    record = LayerSearch(
        split=validation.split,
        images=len(validation.images),
        max_map_drop=settings.max_map_drop,
        fp32_ap=fp32_ap,
        quantised_ap=tried[0].ap,
        ap=best.ap,
        layers=len(quantiser.layers),
        kept=list(best.kept),
    )
    return best.model, record


def _sets_to_keep(
    quantiser: Quantiser, spec: ArtefactSpec, validation: ValidationSlice, settings: SearchSettings
) -> Iterator[tuple[KeptLayer, ...]]:
    """Nothing, then the worst 1, 2, 4, ... layers, which are ranked when they are first asked for."""
    yield ()
    most = min(settings.max_layers, len(quantiser.layers))
    if not most:
        return
    ranked = rank_layers(quantiser, graph_inputs(list(validation.images[: settings.layer_images]), spec))
    count = 1
    while count < most:
        yield ranked[:count]
        count *= 2
    yield ranked[:most]


def rank_layers(quantiser: Quantiser, inputs: Mapping[str, NDArray[Any]]) -> tuple[KeptLayer, ...]:
    """Layers by falling error: relative squared distance of the head's outputs when only that layer is quantised.

    Args:
        inputs: of the artefact's graph, by name.
    """
    names = network_outputs(quantiser.model)
    reference = _run(quantiser.model, names, inputs)
    errors = [
        KeptLayer(layer=layer, error=_distance(reference, _run(quantiser.alone(layer), names, inputs)))
        for layer in quantiser.layers
    ]
    return tuple(sorted(errors, key=lambda item: -item.error))


def _run(model: onnx.ModelProto, names: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    graph = copy_of(model)
    ends = [_end_of_pair(graph, name) for name in names]
    infos = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ends]
    replace_content(graph.graph.output, infos)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(ends, dict(inputs)))


def _end_of_pair(model: onnx.ModelProto, name: str) -> str:
    """What the readers of a tensor get: the other end of its QuantizeLinear/DequantizeLinear pair, if it has one."""
    for operator in ("QuantizeLinear", "DequantizeLinear"):
        ends = [node.output[0] for node in model.graph.node if node.op_type == operator and node.input[0] == name]
        name = ends[0] if ends else name
    return name


def _distance(reference: Sequence[NDArray[np.float32]], outputs: Sequence[NDArray[np.float32]]) -> float:
    """Mean over the outputs of the squared distance divided by the squared length of the reference."""
    tiny = np.finfo(np.float32).tiny
    shares = [np.sum((a - b) ** 2) / max(np.sum(a**2), tiny) for a, b in zip(reference, outputs, strict=True)]
    return float(np.mean(shares))
