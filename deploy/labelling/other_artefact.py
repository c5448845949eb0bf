"""An ONNX detector of another project: its input and outputs in the form that artefacts of this one have.

Its NMS is to be inside of the file. The form of its outputs is said by ``rows`` of the settings:
``x1y1x2y2_score_class`` is one output ``[N, K, 6]``, as Ultralytics documents it for ``nms=True``, and ``dets_labels``
two of them, ``[N, K, 5]`` and ``[N, K]``, as mmdeploy does. Tests have files of these forms; none of those projects'.
"""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from deploy.runtime.artefact import LETTERBOX, ArtefactSpec
from deploy.runtime.backends import RawDetections, running
from deploy.runtime.detector import Detector
from deploy.runtime.errors import ArtefactError
from deploy.runtime.resources import usable_cores
from pipeline.label_settings import OtherArtefact

_MOST = 1000
_NONE = "0" * 64


def open_other(settings: OtherArtefact, wanted: Sequence[str], least_score: float, batch_size: int) -> Detector:
    """Open such a file as a detector of the data set's classes; boxes of other classes are dropped.

    Args:
        settings: the file, its hash checked already, and its form.
        wanted: the classes of the data set; those that the file does not know are never found.
        least_score: what scores less is dropped.
        batch_size: images at once, where the file takes any number.

    Raises:
        ArtefactError: the file is no ONNX, has other inputs or outputs than said, or knows none of the classes.
    """
    if not {*wanted} & {*settings.classes}:
        raise ArtefactError(
            f"{settings.artefact}: label.by.classes are {settings.classes}, and the data set's {[*wanted]}: it would "
            "label nothing; give the file's classes in its order, called as in the data set"
        )
    backend = OtherBackend(settings, wanted, least_score)
    height, width = settings.input_size
    spec = ArtefactSpec(
        model=settings.artefact.stem,
        classes=tuple(wanted),
        input_height=height,
        input_width=width,
        color_order=settings.color_order,
        resize_rule=LETTERBOX,
        pad_value=(settings.pad_value,) * 3,
        score_threshold=least_score,
        nms_iou_threshold=1.0,
        nms_passes=0,
        max_candidates=_MOST,
        max_detections=_MOST,
        precision="fp32",
        recipe=str(settings.artefact),
        recipe_sha256=_NONE,
        weights_sha256=settings.sha256,
        dataset="none",
    )
    return Detector(spec, backend, 1 if backend.takes_one else batch_size, source=str(settings.artefact))


class OtherBackend:
    """Runs it under ONNX Runtime, on the CPU.

    Attributes:
        takes_one: whether the file takes one image at a time, and not any number.
    """

    name, device, precision = "onnxruntime", "cpu", "fp32"
    version: str = onnxruntime.__version__

    def __init__(self, settings: OtherArtefact, wanted: Sequence[str], least_score: float) -> None:
        options = onnxruntime.SessionOptions()
        self.threads = options.intra_op_num_threads = usable_cores()
        self._settings, self._least = settings, least_score
        try:
            self._session = onnxruntime.InferenceSession(
                str(settings.artefact), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has no class of its own for all that a file may be
            raise ArtefactError(f"{settings.artefact}: cannot be opened by ONNX Runtime: {error}") from error
        self._check_input()
        self.takes_one = self._session.get_inputs()[0].shape[0] == 1
        # By the file's class the data set's, or -1.
        places = {name: place for place, name in enumerate(wanted)}
        self._class = np.array([places.get(name, -1) for name in settings.classes], np.int64)

    def run(self, images: NDArray[np.uint8], sizes: NDArray[np.int64] | None = None) -> RawDetections:
        """As :meth:`deploy.runtime.backends.Backend.run`."""
        del sizes
        mean, std = (np.array(value, np.float32) for value in (self._settings.mean, self._settings.std))
        normalised = ((images.astype(np.float32) - mean) / std).transpose(0, 3, 1, 2)
        name = self._session.get_inputs()[0].name
        with running(self.name, str(self._settings.artefact)):
            outputs = self._session.run(None, {name: np.ascontiguousarray(normalised)})
        boxes, scores, labels = self._columns(outputs)
        # Rows that fill up have any class, and the score 0.
        counted = (scores >= self._least) & (scores > 0)
        if unknown := sorted({*labels[counted].tolist()} - {*range(len(self._class))}):
            raise ArtefactError(
                f"{self._settings.artefact}: gives the class {unknown[-1]}, and label.by.classes has "
                f"{len(self._class)}; list all of its classes in its order"
            )
        labels = self._class[np.where(counted, labels, 0)]
        return _packed(boxes, scores, labels, counted & (labels >= 0))

    def close(self) -> None:
        """Nothing is held that is not given back by itself."""

    def _check_input(self) -> None:
        inputs = self._session.get_inputs()
        shape, wanted = inputs[0].shape, [1, 3, *self._settings.input_size]
        # What is open is no number.
        fits = len(shape) == 4 and all(
            not isinstance(found, int) or found == needed for found, needed in zip(shape, wanted, strict=True)
        )
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not fits:
            found = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs)
            raise ArtefactError(
                f"{self._settings.artefact}: takes {found}; one input of float32 [N, 3, height, width] is needed, of "
                f"label.by.input_size {[*self._settings.input_size]}, with N open or 1"
            )

    def _columns(
        self, outputs: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Boxes ``[N, K, 4]``, scores and classes ``[N, K]``."""
        columns, shapes = 6, [list(each.shape) for each in outputs]
        if self._settings.rows == "dets_labels":
            columns = 5
            if len(outputs) < 2 or outputs[1].shape != outputs[0].shape[:2]:
                raise self._unexpected(shapes, "[N, K, 5] and [N, K]")
        rows = outputs[0]
        if rows.ndim != 3 or rows.shape[2] != columns:
            raise self._unexpected(shapes, "[N, K, 6]" if columns == 6 else "[N, K, 5] and [N, K]")
        classes = rows[..., 5] if columns == 6 else outputs[1]
        return rows[..., :4], rows[..., 4], np.rint(classes).astype(np.int64)

    def _unexpected(self, shapes: Sequence[list[int]], needed: str) -> ArtefactError:
        return ArtefactError(
            f"{self._settings.artefact}: its outputs are {shapes}; label.by.rows {self._settings.rows!r} needs {needed}"
        )


def _packed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64], kept: NDArray[np.bool_]
) -> RawDetections:
    """The rows that are kept of each image first, best score first; the rest is zero."""
    order = np.argsort(np.where(kept, -scores, np.inf), axis=1, kind="stable")
    counts = kept.sum(axis=1)
    taken = np.arange(scores.shape[1]) < counts[:, None]
    ordered = [np.take_along_axis(each, order, axis=1) * taken for each in (scores, labels)]
    placed = np.take_along_axis(boxes, order[..., None], axis=1) * taken[..., None]
    return RawDetections(placed, ordered[0], ordered[1], counts.astype(np.int64))
