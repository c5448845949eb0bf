"""Voted boxes against mmdet's own voting, box by box."""

import numpy as np
import torch
from mmdet.models.dense_heads import PAAHead

from deploy.graph.score_voting import voted_boxes, voted_detections
from deploy.runtime.detections import Detections

CLASSES = 3


def crowd(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes around five places, scores and labels; one in seven has a score of 0 and is no candidate."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(0, 5, (count,), generator=generator)[:, None] * 30.0
    corners = places + torch.rand(count, 2, generator=generator) * 4
    boxes = torch.cat([corners, corners + 25 + torch.rand(count, 2, generator=generator) * 8], dim=1)
    scores = torch.rand(count, generator=generator) * 0.9 + 0.06
    return boxes, scores * (torch.arange(count) % 7 > 0), torch.randint(0, CLASSES, (count,), generator=generator)


def test_boxes_are_those_of_mmdet() -> None:
    boxes, scores, labels = crowd(120)
    kept = scores.argsort(descending=True)[:20]
    head = PAAHead(CLASSES, 8, feat_channels=8, norm_cfg=None)
    by_class = torch.zeros(len(boxes), CLASSES).scatter(1, labels[:, None], scores[:, None])
    detections = torch.cat([boxes[kept], scores[kept, None]], dim=1)
    wanted, classes = head.score_voting(detections, labels[kept], boxes, by_class, 0.05)
    found = voted_boxes(boxes[None, kept], labels[None, kept], boxes[None], scores[None], labels[None])[0]
    order = torch.cat([(labels[kept] == label).nonzero()[:, 0] for label in range(CLASSES)])  # mmdet's is by class
    torch.testing.assert_close(found[order], wanted[:, :4], atol=1e-4, rtol=0)
    assert labels[kept][order].tolist() == classes.tolist()
    assert (found - boxes[kept]).abs().max() > 1


def test_a_box_without_a_voter_is_none() -> None:
    boxes, nobody = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]]), torch.zeros(1, 1)
    labels = torch.zeros(1, 1, dtype=torch.int64)
    assert voted_boxes(boxes, labels, boxes, nobody, labels).tolist() == [[[0.0] * 4]]


def test_every_candidate_of_an_image_gets_its_mean() -> None:
    boxes, scores, labels = (part[1:7] for part in crowd(120))
    candidates = Detections(boxes.numpy(), scores.numpy(), labels.numpy(), ("a", "b", "c"))
    voted = voted_detections(candidates)
    wanted = voted_boxes(*(part[None] for part in (boxes, labels, boxes, scores, labels)))[0]
    np.testing.assert_array_equal(voted.boxes, wanted.numpy())
    assert voted.scores is candidates.scores
