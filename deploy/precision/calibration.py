"""Calibration: which images say how large activations get, and how large they get on them."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, MinMaxCalibrater

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.images import read_image
from deploy.runtime.preprocess import graph_inputs
from deploy.runtime.resources import usable_cores
from deploy.runtime.scratch import scratch_folder
from pipeline.datasets.prepared import find_split, names_file, read_names
from pipeline.deploy_records import CalibrationRecord
from pipeline.deploy_settings import CalibrationSettings
from pipeline.errors import DatasetError
from pipeline.storage import sha256_of

Range = tuple[NDArray[np.float32], NDArray[np.float32]]
Ranges = Mapping[str, Range]
"""Smallest and largest value of a tensor by its name, each an array of one element."""


@dataclass(frozen=True)
class CalibrationSet:
    """Image files, and the record that lets another run choose the very same ones."""

    files: tuple[Path, ...]
    record: CalibrationRecord


def choose_images(dataset_dir: Path, settings: CalibrationSettings) -> CalibrationSet:
    """Draw ``settings.images`` images of a prepared data set's train split without replacement.

    All of the split where it has fewer. The record's hash is the SHA-256 of lines ``<sha256 of the file>  <its name>``
    in the order of the drawing.

    Raises:
        DatasetError: the data set has no such split, its list of names is missing, damaged or empty, or an image file
            is missing.
    """
    annotations, image_root = find_split(dataset_dir, settings.split)
    names = read_names(annotations)
    if not names:
        raise DatasetError(f"{names_file(annotations)}: no images to calibrate with")
    order = np.random.default_rng(settings.seed).permutation(len(names))[: settings.images]
    chosen = [names[position] for position in order]
    digest = hashlib.sha256()
    for name in chosen:
        try:
            digest.update(f"{sha256_of(image_root / name)}  {name}\n".encode())
        except FileNotFoundError as error:
            raise DatasetError(
                f"{image_root / name}: no such image of the calibration set; run `dvc repro data`"
            ) from error
    record = CalibrationRecord(split=settings.split, images=len(chosen), seed=settings.seed, sha256=digest.hexdigest())
    return CalibrationSet(tuple(image_root / name for name in chosen), record)


def activation_ranges(
    model: onnx.ModelProto, spec: ArtefactSpec, files: Sequence[Path], operators: Collection[str]
) -> Ranges:
    """Ranges of all float tensors that nodes of the types ``operators`` read or write.

    Args:
        model: an artefact's graph with the types of all tensors.
        files: images; each goes through the artefact's own pre-processing, one at a time.

    Raises:
        ImageError: a file cannot be read.
    """
    with scratch_folder("calibration") as scratch:
        path = scratch / "model.onnx"
        onnx.save(model, path)
        calibrator = _Calibrator(path, sorted(operators), str(scratch / "augmented.onnx"))
        calibrator.augment_graph()
        calibrator.create_inference_session()
        calibrator.collect_data(_Reader(_inputs(spec, files)))
        return {name: data.range_value for name, data in calibrator.compute_data().items()}


class _Calibrator(MinMaxCalibrater):
    """onnxruntime's, in an eighth of its memory: every range is taken as soon as its tensor is there.

    In the order that sessions run nodes in otherwise, those that reduce a tensor to its range come after all that
    read it, and the arena keeps what has been freed.
    """

    def create_inference_session(self) -> None:
        """As the library does, which takes no options of a session."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.intra_op_num_threads = usable_cores()
        options.log_severity_level = 3
        self.infer_session = onnxruntime.InferenceSession(
            self.augmented_model_path, options, providers=self.execution_providers
        )


class _Reader(CalibrationDataReader):
    def __init__(self, inputs: Iterator[dict[str, NDArray[Any]]]) -> None:
        self._inputs = inputs

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


def _inputs(spec: ArtefactSpec, files: Sequence[Path]) -> Iterator[dict[str, NDArray[Any]]]:
    for file in files:
        yield graph_inputs([read_image(file)], spec)
