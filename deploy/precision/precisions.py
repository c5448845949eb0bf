"""Precisions of an exported artefact, each a file of its own: ONNX in, ONNX out.

fp16 and the int8 forms are typed graphs, so that every backend runs them as they stand (TensorRT from 11 on has no
other way). Normalisation, decoding and NMS stay float32 in all of them.
"""

import json
import logging
from dataclasses import replace
from pathlib import Path

import onnx

from deploy.precision.calibration import activation_ranges, choose_images
from deploy.precision.fp16 import to_fp16
from deploy.precision.layer_search import search_layers
from deploy.precision.network import load_exported
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.precision.validation_slice import ValidationSlice
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.onnx_file import sealed
from pipeline.deploy_records import CalibrationRecord, LayerSearch, PrecisionArtefact, PrecisionRecord
from pipeline.deploy_settings import PrecisionSettings
from pipeline.layout import artefact_file
from pipeline.records import Record
from pipeline.storage import sha256_of, write_atomic

logger = logging.getLogger(__name__)

FP16 = "fp16"
PRECISIONS = (FP16, *FORMS)
"""What is made from an exported artefact."""


def make_precisions(
    artefact: Path, dataset_dir: Path, settings: PrecisionSettings, root: Path = Path()
) -> PrecisionRecord:
    """Write an artefact in every one of :data:`PRECISIONS` to its place in the project's ``root``.

    Raises:
        ArtefactError: the artefact is missing, damaged, foreign or not fp32.
        DatasetError: the data set lacks the train or the val split, or an image of the calibration set.
        ImageError: an image cannot be read.
    """
    model, spec = load_exported(artefact)
    parent = sha256_of(artefact)
    calibration = choose_images(dataset_dir, settings.calibration)
    validation = ValidationSlice.read(dataset_dir, settings.search.split, settings.search.images)
    written = [_write(to_fp16(model), replace(spec, precision=FP16), parent, None, None, root)]
    ranges = activation_ranges(model, spec, calibration.files, CALIBRATED)
    fp32_ap = validation.ap(model, spec)
    for name, form in FORMS.items():
        quantiser = Quantiser(model, ranges, form, settings.reduce_range)
        graph, search = search_layers(quantiser, spec, validation, fp32_ap, settings.search)
        written.append(_write(graph, replace(spec, precision=name), parent, calibration.record, search, root))
        logger.info("%s", _summary(spec.model, name, search))
    return PrecisionRecord(
        model=spec.model,
        parent=artefact.as_posix(),
        parent_sha256=parent,
        calibration=calibration.record,
        artefacts=written,
    )


def _write(
    graph: onnx.ModelProto,
    spec: ArtefactSpec,
    parent: str,
    calibration: CalibrationRecord | None,
    search: LayerSearch | None,
    root: Path,
) -> PrecisionArtefact:
    """Write one file whose metadata says what it was made from and how."""
    notes = {"parent_sha256": json.dumps(parent)}
    notes |= {
        name: _json(record) for name, record in (("calibration", calibration), ("layer_search", search)) if record
    }
    onnx.helper.set_model_props(graph, {**spec.to_metadata(), **notes})
    onnx.checker.check_model(graph, full_check=True)
    file = artefact_file(spec.model, spec.precision)
    write_atomic(root / file, sealed(graph.SerializeToString()))
    return PrecisionArtefact(
        precision=spec.precision,
        file=file.as_posix(),
        sha256=sha256_of(root / file),
        file_size=(root / file).stat().st_size,
        search=search,
    )


def _json(record: Record) -> str:
    return record.model_dump_json()


def _summary(model: str, precision: str, search: LayerSearch) -> str:
    where = f"{search.images} images of {search.split}"
    text = f"{model} {precision}: {search.layers - len(search.kept)} of {search.layers} layers quantised"
    if search.fp32_ap is None or search.ap is None:
        return f"{text}; no box to find in {where}, so its accuracy is unknown"
    text = f"{text}; {search.fp32_ap - search.ap:+.2f} AP points lost on {where}"
    if search.fp32_ap - search.ap > search.max_map_drop:
        text = f"{text}, more than precision.search.max_map_drop {search.max_map_drop:g} allows"
    return text
