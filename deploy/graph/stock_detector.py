"""A detector of which no artefact can be made, measured as all others are: mmdet's own ``predict`` finds the boxes."""

import logging
from typing import Any

import torch
from mmdet.structures import DetDataSample
from torch import Tensor
from torch.nn import functional as F

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.normalised_detector import NormalisedDetector, Outputs, without_padding
from deploy.runtime.artefact import ArtefactSpec
from pipeline.errors import ExportError

logger = logging.getLogger(__name__)


class StockDetector(NormalisedDetector):
    """A stock mmdet detector of any kind, behind the interface of an artefact that it never becomes.

    Decoding and NMS are mmdet's, by the recipe's ``model.test_cfg``. ``score_threshold`` and ``max_detections`` of the
    specification then apply to what is left; ``nms_iou_threshold`` and ``max_candidates`` do not.
    """

    @property
    def needs_sizes(self) -> bool:
        """True: mmdet clips boxes to the image and not to its canvas, and DETR's attention leaves the padding out."""
        return True

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Outputs:
        """Detect objects; see :class:`ArtefactSpec` for the outputs.

        Args:
            images: uint8 [N, H, W, 3] in the colour order of the specification.
            sizes: int64 [N, 2], height and width of each image on its canvas.

        Raises:
            ValueError: there are no sizes.
        """
        if sizes is None:
            raise ValueError("mmdet's own decoding needs the sizes of the images on their canvas")
        pixels = without_padding(self.normalise(images), sizes)
        canvas = (int(pixels.shape[2]), int(pixels.shape[3]))
        shapes = [(int(height), int(width)) for height, width in sizes.tolist()]
        found = self.detector.predict(pixels, [_sample(shape, canvas) for shape in shapes], rescale=False)
        rows = [self._best(sample.pred_instances, shape) for sample, shape in zip(found, shapes, strict=True)]
        return Outputs(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def _best(self, found: Any, shape: tuple[int, int]) -> Outputs:
        """The detections of one image, by falling score, filled up to ``max_detections``."""
        height, width = shape
        boxes = torch.minimum(found.bboxes.float().clamp(min=0), self.canvas.new_tensor([width, height] * 2))
        scores = found.scores.float()
        kept = (scores > self.spec.score_threshold) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, scores, labels = boxes[kept], scores[kept], found.labels[kept]
        order = scores.argsort(descending=True, stable=True)[: self.spec.max_detections]
        missing = self.spec.max_detections - len(order)
        return Outputs(
            F.pad(boxes[order], (0, 0, 0, missing)),
            F.pad(scores[order], (0, missing)),
            F.pad(labels[order].long(), (0, missing)),
            torch.tensor(len(order), device=boxes.device),
        )


def measured_module(detector: torch.nn.Module, spec: ArtefactSpec) -> NormalisedDetector:
    """What a detector's accuracy is measured of: the module that ships, or its own ``predict`` where none can.

    Raises:
        RecipeError: as :class:`DeployableDetector`, but for what only an artefact cannot have.
    """
    try:
        return DeployableDetector(detector, spec)
    except ExportError as reason:
        logger.info("%s is measured by mmdet's own decoding, as no artefact can be made of it: %s", spec.model, reason)
        return StockDetector(detector, spec)


def _sample(shape: tuple[int, int], canvas: tuple[int, int]) -> DetDataSample:
    # ``border`` is where CenterNet's own test pipeline puts the image.
    metainfo = {
        **dict.fromkeys(("img_shape", "ori_shape"), shape),
        **dict.fromkeys(("pad_shape", "batch_input_shape"), canvas),
        "scale_factor": (1.0, 1.0),
        "border": (0, shape[0], 0, shape[1]),
    }
    return DetDataSample(metainfo=metainfo)
