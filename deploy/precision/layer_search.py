"""Which layers are better left in fp32: found by measuring, on images of val, which train no weight.

First all layers are quantised and scored. Only if that costs more AP than is allowed, each layer is quantised alone and
the layers are ranked by how far the head's outputs move. Then the worst 1, 2, 4, ... are kept in fp32 until the AP is
within the limit; if it never is, the best of the tried sets is taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from deploy.precision.layer_ranking import rank_layers
from deploy.precision.quantisation import Quantiser
from deploy.precision.validation_slice import ValidationSlice
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.preprocess import graph_inputs
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
