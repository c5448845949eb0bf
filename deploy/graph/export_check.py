"""Does the artefact say what PyTorch says? Detections of both on real images, matched one to one.

Pairs are those of :mod:`deploy.runtime.matching`; differences of box and score are taken over them. A detection without
a partner counts against the artefact, on whichever side it is, unless rounding alone explains it: its score is within
:data:`SCORE_MARGIN` of the score threshold, or the other list is full and it is within the margin of that list's last
score.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.detections import Detections
from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.images import Image
from deploy.runtime.matching import match
from pipeline.deploy_records import ExportCheck

SCORE_MARGIN = 1e-3
_BACKEND = "onnxruntime"
_BATCH_SIZE = 4


@dataclass(frozen=True)
class Comparison:
    """Two lists of detections of one image.

    ``pairs`` [n, 2] are indices into them, ``unexplained`` counts detections without a partner on both sides. The
    differences are the largest of the pairs, None where there is none.
    """

    pairs: NDArray[np.int64]
    unexplained: int
    box_difference_px: float | None
    score_difference: float | None


def check_export(detector: DeployableDetector, artefact: Path, images: Sequence[Image]) -> ExportCheck:
    """Run PyTorch and ONNX Runtime on images (uint8 [H, W, 3], BGR) and compare the boxes in pixels of the images.

    Raises:
        ArtefactError: ONNX Runtime cannot run the artefact.
    """
    reference = Detector(detector.spec, PytorchBackend(detector), _BATCH_SIZE)(images)
    with open_detector(artefact, _BACKEND, batch_size=_BATCH_SIZE) as onnx_detector:
        exported = onnx_detector(images)
    return summarise([compare(a, b, detector.spec) for a, b in zip(reference, exported, strict=True)])


def summarise(comparisons: Sequence[Comparison]) -> ExportCheck:
    """Join the images.

    ``detections`` counts pairs and unexplained detections, ``matched`` is the share of pairs. What there was nothing to
    measure on is None: no difference would be a measurement.
    """
    pairs = sum(len(comparison.pairs) for comparison in comparisons)
    counted = pairs + sum(comparison.unexplained for comparison in comparisons)
    return ExportCheck(
        images=len(comparisons),
        detections=counted,
        matched=pairs / counted if counted else None,
        max_box_difference_px=_largest_of(comparison.box_difference_px for comparison in comparisons),
        max_score_difference=_largest_of(comparison.score_difference for comparison in comparisons),
    )


def compare(reference: Detections, exported: Detections, spec: ArtefactSpec) -> Comparison:
    """Match the detections of one image by the rule of this module."""
    pairs = match(reference, exported)
    first, second = pairs.T
    unexplained = _unexplained(reference, first, exported, spec) + _unexplained(exported, second, reference, spec)
    return Comparison(
        pairs=pairs,
        unexplained=unexplained,
        box_difference_px=_largest(reference.boxes[first] - exported.boxes[second]),
        score_difference=_largest(reference.scores[first] - exported.scores[second]),
    )


def _unexplained(found: Detections, matched: NDArray[np.int64], other: Detections, spec: ArtefactSpec) -> int:
    full = len(other) >= spec.max_detections
    floor = max(spec.score_threshold, float(other.scores.min()) if full else 0.0)
    alone = np.delete(found.scores, matched)
    return int((alone > floor + SCORE_MARGIN).sum())


def _largest(differences: NDArray[np.float32]) -> float | None:
    return float(np.abs(differences).max()) if differences.size else None


def _largest_of(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
