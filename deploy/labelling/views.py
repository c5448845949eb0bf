"""A detector that sees each picture mirrored too."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
from torchvision.ops import batched_nms

from deploy.runtime.detections import Detections
from deploy.runtime.detector import Detector, PhaseTimes
from deploy.runtime.images import Image


class MirroringDetector(Detector):
    """Another detector, run on each picture and on its mirror image; NMS by class joins what it finds.

    Args:
        detector: the other one, whose backend this one uses.
        nms_iou: of two boxes of a class that overlap by more the one with the higher score is kept.
    """

    def __init__(self, detector: Detector, nms_iou: float) -> None:
        super().__init__(detector.spec, detector.backend, detector.batch_size, detector.colors)
        self._nms_iou = nms_iou

    def _run(self, images: list[Image], start: float) -> tuple[list[Detections], PhaseTimes]:
        """As the other one's; the times are those of the mirror images."""
        found, _ = super()._run(images, start)
        mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
        others, times = super()._run(mirrored, perf_counter())
        back = (mirror(other, image.shape[1]) for other, image in zip(others, images, strict=True))
        return [merged(one, other, self._nms_iou) for one, other in zip(found, back, strict=True)], times


def mirror(found: Detections, width: int) -> Detections:
    """Detections of a mirrored picture of this width in pixels, where they are in the picture itself."""
    x1, y1, x2, y2 = found.boxes.T
    return replace(found, boxes=np.stack([width - x2, y1, width - x1, y2], axis=1))


def merged(one: Detections, other: Detections, nms_iou: float) -> Detections:
    """What NMS by class keeps of both, best score first."""
    boxes, scores, labels = (
        np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("boxes", "scores", "labels")
    )
    kept = batched_nms(*map(torch.from_numpy, (boxes, scores, labels)), nms_iou).numpy()
    return Detections(boxes[kept], scores[kept], labels[kept], one.classes)
