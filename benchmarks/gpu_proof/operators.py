"""Part 1, continued: the operators of mmcv that detectors call, on the device against the CPU, with their gradients."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import pipeline  # noqa: F401  (before mmcv's operators are imported)
from benchmarks.gpu_proof.place import Check, Mismatch, Place, expect
from benchmarks.gpu_proof.record import Numbers

from mmcv.ops import batched_nms, nms, roi_align, sigmoid_focal_loss  # isort: skip

_LIMIT = 1e-4
_BOXES, _CLASSES = 2000, 80


def checks(place: Place) -> Iterator[Check]:
    """NMS, RoIAlign and the focal loss."""
    yield Check("nms", lambda numbers: _same_choice(_nms, place, numbers))
    yield Check("batched_nms", lambda numbers: _same_choice(_batched_nms, place, numbers))
    yield Check("roi_align", lambda numbers: _same_values(_roi_align, _features(), place, numbers))
    yield Check("sigmoid_focal_loss", lambda numbers: _same_values(_focal_loss, _logits(), place, numbers))


def _same_choice(operator: Callable[[torch.device], Tensor], place: Place, numbers: Numbers) -> None:
    reference, found = operator(torch.device("cpu")), operator(place.device).cpu()
    numbers |= {"kept on the CPU": len(reference), "kept on the device": len(found)}
    if not torch.equal(reference, found):
        raise Mismatch("other boxes are kept, or in another order")


def _same_values(
    operator: Callable[[Tensor, torch.device], Tensor], values: Tensor, place: Place, numbers: Numbers
) -> None:
    results = []
    for device in (torch.device("cpu"), place.device):
        leaf = values.detach().clone().to(device).requires_grad_()  # on the CPU, `to` alone gives the same tensor
        output = operator(leaf, device)
        (output * torch.linspace(-1, 1, output.numel(), device=device).reshape(output.shape)).sum().backward()
        assert leaf.grad is not None
        results.append((output.detach().cpu(), leaf.grad.cpu()))
    (output, gradient), (output_there, gradient_there) = results
    for what, reference, found in (("output", output, output_there), ("gradient", gradient, gradient_there)):
        distance = float((found - reference).norm() / reference.norm())
        numbers[f"{what}, relative"] = distance
        expect(f"relative distance of the {what}", distance, _LIMIT)


def _boxes() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    corners = 800 * torch.rand(_BOXES, 2, generator=generator)
    boxes = torch.cat([corners, corners + 8 + 120 * torch.rand(_BOXES, 2, generator=generator)], dim=1)
    return boxes, torch.rand(_BOXES, generator=generator), torch.randint(_CLASSES, (_BOXES,), generator=generator)


def _nms(device: torch.device) -> Tensor:
    boxes, scores, _ = (each.to(device) for each in _boxes())
    kept: Tensor = nms(boxes, scores, 0.6)[1]
    return kept


def _batched_nms(device: torch.device) -> Tensor:
    boxes, scores, labels = (each.to(device) for each in _boxes())
    kept: Tensor = batched_nms(boxes, scores, labels, {"type": "nms", "iou_threshold": 0.6})[1]
    return kept


def _features() -> Tensor:
    return torch.randn(2, 64, 40, 56, generator=torch.Generator().manual_seed(0))


def _roi_align(features: Tensor, device: torch.device) -> Tensor:
    boxes = _boxes()[0][:200] / 2
    rois = torch.cat([torch.arange(200)[:, None] % 2, boxes], dim=1).to(device)
    pooled: Tensor = roi_align(features, rois, (7, 7), 1 / 8, 0, "avg", True)
    return pooled


def _logits() -> Tensor:
    return 3 * torch.randn(_BOXES, _CLASSES, generator=torch.Generator().manual_seed(0))


def _focal_loss(logits: Tensor, device: torch.device) -> Tensor:
    target = torch.randint(_CLASSES + 1, (_BOXES,), generator=torch.Generator().manual_seed(1)).to(device)
    loss: Tensor = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none")
    return loss
