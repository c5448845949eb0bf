"""Does the artefact say what PyTorch says? Detections of both on real images, matched one to one.

Pairs are those of :mod:`deploy.runtime.matching`; differences of box and score are taken over them. A detection without
a partner counts against the artefact, on whichever side it is, unless rounding alone explains it: its score is within
:data:`SCORE_MARGIN` of the score threshold, or the other list is full and it is within the margin of that list's last
score.

Where NMS turned over by rounding, both lists differ by pixels and both are right (:mod:`suppression_check`). So an
image on which they disagree counts by PyTorch's candidates if the artefact's list is one that NMS may keep of them. A
two-stage detector chooses its proposals so as well, before there are candidates: it is asked again with weights moved
by a rounding.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.graph.rounding import rounded_otherwise
from deploy.graph.score_voting import voted_detections
from deploy.graph.suppression_check import SAME_BOX_PX, SAME_SCORE, kept_of
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.detections import Detections
from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.images import Image
from deploy.runtime.matching import match
from pipeline.deploy_records import ExportCheck
from pipeline.detectors.kinds import DetectorKind, kind_of

SCORE_MARGIN = 1e-3
ROUNDINGS = 8
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

    @property
    def agrees(self) -> bool:
        """Whether both lists hold the same detections, but for rounding."""
        alike = (self.box_difference_px or 0) <= SAME_BOX_PX and (self.score_difference or 0) <= SAME_SCORE
        return alike and not self.unexplained


def check_export(detector: DeployableDetector, artefact: Path, images: Sequence[Image]) -> ExportCheck:
    """Run PyTorch and ONNX Runtime on images (uint8 [H, W, 3], BGR) and compare the boxes in pixels of the images.

    Raises:
        ArtefactError: ONNX Runtime cannot run the artefact.
    """
    reference = _run(detector, images)
    with open_detector(artefact, _BACKEND, batch_size=_BATCH_SIZE) as onnx_detector:
        exported = onnx_detector(images)
    compared = [compare(a, b, detector.spec) for a, b in zip(reference, exported, strict=True)]
    turned_over = _turned_over(
        detector, images, exported, {index for index, comparison in enumerate(compared) if not comparison.agrees}
    )
    return summarise([turned_over.get(*each) for each in enumerate(compared)], len(turned_over))


def _turned_over(
    detector: DeployableDetector, images: Sequence[Image], exported: Sequence[Detections], disagreeing: set[int]
) -> dict[int, Comparison]:
    """Of the images on which both disagree those on which NMS may, by their places."""
    found: dict[int, Comparison] = {}
    for other in _without_suppression(detector) if disagreeing else ():
        # All images again: those of a batch share a canvas, whose edge convolutions see.
        answers = _run(other, images)
        for index in disagreeing - found.keys():
            voted = voted_detections(answers[index]) if detector.votes_on_boxes else None
            if (pairs := kept_of(answers[index], exported[index], detector.spec, voted)) is not None:
                found[index] = _of_pairs(voted or answers[index], exported[index], pairs, 0)
        if len(found) == len(disagreeing):
            break
    return found


def _run(detector: DeployableDetector, images: Sequence[Image]) -> list[Detections]:
    return list(Detector(detector.spec, PytorchBackend(detector), _BATCH_SIZE)(images))


def _without_suppression(detector: DeployableDetector) -> Iterator[DeployableDetector]:
    """The detector, then roundings of it where these have something to choose, as they answer with all candidates."""
    spec = replace(detector.spec, nms_iou_threshold=1.0, max_detections=detector.spec.max_candidates)
    first = DeployableDetector(detector.detector, spec)
    first.votes_on_boxes = False
    yield first
    for seed in range(ROUNDINGS if kind_of(detector.detector) is DetectorKind.TWO_STAGE else 0):
        yield DeployableDetector(rounded_otherwise(detector.detector, seed), spec)


def summarise(comparisons: Sequence[Comparison], rounding_chose: int = 0) -> ExportCheck:
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
        rounding_chose=rounding_chose,
    )


def compare(reference: Detections, exported: Detections, spec: ArtefactSpec) -> Comparison:
    """Match the detections of one image by the rule of this module."""
    pairs = match(reference, exported)
    first, second = pairs.T
    unexplained = _unexplained(reference, first, exported, spec) + _unexplained(exported, second, reference, spec)
    return _of_pairs(reference, exported, pairs, unexplained)


def _of_pairs(reference: Detections, exported: Detections, pairs: NDArray[np.int64], unexplained: int) -> Comparison:
    first, second = pairs.T
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
