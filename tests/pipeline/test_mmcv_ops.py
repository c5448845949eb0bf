"""The stand-in for mmcv's compiled operators: equal to independent references, honest about what is missing."""

import importlib
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv.ops import RoIAlign, SigmoidFocalLoss, batched_nms, nms
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor

from pipeline import mmcv_ops
from pipeline.mmcv_extension import NAME, provide


def brute_force_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Greedy suppression, pair by pair, in float64: a box goes when its IoU with a kept one exceeds the threshold."""
    kept: list[int] = []
    for index in torch.argsort(scores, descending=True, stable=True).tolist():
        if all(iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


def iou(first: Tensor, second: Tensor) -> float:
    a, b = first.double().tolist(), second.double().tolist()
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


corner = st.integers(0, 12)
side = st.integers(1, 8)


@given(
    corners=st.lists(st.tuples(corner, corner, side, side, st.integers(0, 3)), max_size=25),
    threshold=st.sampled_from([0.0, 0.31, 0.52, 0.73, 1.0]),
)
def test_nms_equals_brute_force(corners: list[tuple[int, ...]], threshold: float) -> None:
    # Small integers make many ties in score and in overlap; at the odd thresholds no IoU of theirs lies on the limit.
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h, _ in corners], dtype=torch.float32).reshape(-1, 4)
    scores = torch.tensor([score / 3 for *_, score in corners])
    kept = mmcv_ops.nms(boxes, scores, threshold, 0)
    assert kept.tolist() == brute_force_nms(boxes, scores, threshold)


def test_nms_of_many_random_boxes() -> None:
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(150, 2, generator=generator) * 60
    boxes = torch.cat([corners, corners + 5 + torch.rand(150, 2, generator=generator) * 25], dim=1)
    scores = torch.rand(150, generator=generator)
    detections, kept = nms(boxes, scores, 0.5)
    assert kept.tolist() == brute_force_nms(boxes, scores, 0.5)
    assert 0 < len(kept) < 150
    assert torch.equal(detections, torch.cat([boxes, scores[:, None]], dim=1)[kept])


def test_nms_of_nothing() -> None:
    assert mmcv_ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, 0).shape == (0,)


def test_nms_per_class_keeps_overlapping_boxes_of_different_classes() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 3)
    _, kept = batched_nms(
        boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1]), {"type": "nms", "iou_threshold": 0.5}
    )
    assert sorted(kept.tolist()) == [0, 2]


def test_nms_with_pixel_offset_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"offset=1 .* full mmcv"):
        mmcv_ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5, 1)


def naive_roi_align(features: Tensor, roi: Tensor, size: int, scale: float, samples: int) -> Tensor:
    """Aligned average RoIAlign of one roi (He et al., Mask R-CNN, section 3), sample by sample."""
    image = features[int(roi[0])]
    left, top, right, bottom = (float(value) * scale - 0.5 for value in roi[1:])
    step_y, step_x = (bottom - top) / size, (right - left) / size
    pooled = torch.zeros(image.shape[0], size, size, dtype=features.dtype)
    for row in range(size):
        for column in range(size):
            for i in range(samples):
                for j in range(samples):
                    y = top + (row + (i + 0.5) / samples) * step_y
                    x = left + (column + (j + 0.5) / samples) * step_x
                    pooled[:, row, column] += bilinear(image, y, x) / samples**2
    return pooled


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    _, height, width = image.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(image[:, 0, 0])
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    low_y, low_x = int(y), int(x)
    high_y, high_x = min(low_y + 1, height - 1), min(low_x + 1, width - 1)
    dy, dx = y - low_y, x - low_x
    upper = image[:, low_y, low_x] * (1 - dx) + image[:, low_y, high_x] * dx
    lower = image[:, high_y, low_x] * (1 - dx) + image[:, high_y, high_x] * dx
    return upper * (1 - dy) + lower * dy


ROIS = torch.tensor([[0, 1.3, 2.1, 9.7, 12.4], [1, -3.0, 0.0, 6.5, 20.0], [0, 4.0, 4.0, 4.5, 4.5]], dtype=torch.float64)


def features() -> Tensor:
    return torch.randn(2, 3, 8, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_roi_align_equals_the_naive_reference() -> None:
    align = RoIAlign(output_size=3, spatial_scale=0.5, sampling_ratio=2, pool_mode="avg", aligned=True)
    expected = torch.stack([naive_roi_align(features(), roi, 3, 0.5, 2) for roi in ROIS])
    torch.testing.assert_close(align(features(), ROIS), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_gradient(aligned: bool) -> None:
    align = RoIAlign(output_size=2, spatial_scale=0.5, sampling_ratio=2, pool_mode="avg", aligned=aligned)
    assert torch.autograd.gradcheck(lambda values: align(values, ROIS), features().requires_grad_())


def test_roi_align_of_maxima_is_refused() -> None:
    align = RoIAlign(output_size=2, spatial_scale=0.5, sampling_ratio=2, pool_mode="max")
    with pytest.raises(NotImplementedError, match="'max' is not provided"):
        align(features(), ROIS)


def focal_loss_by_definition(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """FL(p_t) = -a_t (1 - p_t)^gamma log(p_t), Lin et al., equations 2, 3 and 5."""
    probability = 1 / (1 + torch.exp(-logits))
    positive = torch.zeros_like(logits)
    for row, label in enumerate(target.tolist()):
        if 0 <= label < logits.shape[1]:
            positive[row, label] = 1
    p_t = positive * probability + (1 - positive) * (1 - probability)
    alpha_t = positive * alpha + (1 - positive) * (1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * torch.log(p_t) * weight


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, 0.6), (0.0, 0.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_loss_and_gradient_equal_the_definition(gamma: float, alpha: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = (torch.randn(12, 4, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    target = torch.arange(12) % 6  # 4 and 5 are background
    weight = torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=torch.float64) if weighted else None
    loss = SigmoidFocalLoss(gamma, alpha, weight, reduction="sum")(logits, target)
    factor = weight if weight is not None else torch.ones(4, dtype=torch.float64)
    expected = focal_loss_by_definition(logits, target, factor, gamma, alpha).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(loss, logits)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


def test_focal_loss_is_finite_for_extreme_logits() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = SigmoidFocalLoss(2.0, 0.25, reduction="sum")(logits, torch.tensor([1]))
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(0.75 * 200 + 0.25 * 200)
    assert torch.isfinite(logits.grad).all()


def test_missing_operator_names_itself_and_the_cure() -> None:
    from mmcv.ops import DeformConv2d

    layer = DeformConv2d(2, 2, 3, padding=1)
    with pytest.raises(NotImplementedError, match=r"'deform_conv_forward' .* full mmcv"):
        layer(torch.zeros(1, 2, 5, 5), torch.zeros(1, 18, 5, 5))


def test_providing_again_adds_nothing() -> None:
    before = list(sys.meta_path)
    provide()
    assert sys.meta_path == before


def test_a_loaded_real_extension_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleType(NAME)
    monkeypatch.setitem(sys.modules, NAME, real)
    assert importlib.import_module(NAME) is real


def test_an_installed_real_extension_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import mmcv

    (tmp_path / "_ext.py").write_text("real = True\n")
    monkeypatch.setattr(mmcv, "__path__", [*mmcv.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, NAME)
    assert importlib.import_module(NAME).real


def test_the_stand_in_is_used_where_no_extension_is_installed() -> None:
    assert isinstance(sys.modules[NAME], mmcv_ops.TorchvisionOps)


def test_deformable_attention_equals_sums_of_interpolated_values_written_out() -> None:
    """Two levels of 3 x 4 and 2 x 2, two heads of 5 channels, three queries of two points; gradients by differences."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(3, 4), (2, 2)]
    value = torch.randn(1, 16, 2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    # Some are outside of the map.
    locations = torch.rand(1, 3, 2, 2, 2, 2, generator=generator, dtype=torch.float64) * 1.2 - 0.1
    weights = torch.rand(1, 3, 2, 2, 2, generator=generator, dtype=torch.float64)

    def attend(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return MultiScaleDeformableAttnFunction.apply(
            value, torch.tensor(sizes), torch.tensor([0, 12]), locations, weights, 64
        )

    expected = torch.zeros(1, 3, 2, 5, dtype=torch.float64)
    for query, head, level, point in product(range(3), range(2), range(2), range(2)):
        rows, columns = sizes[level]
        x, y = (locations[0, query, head, level, point] * torch.tensor([columns, rows]) - 0.5).tolist()
        for row, column in product(range(rows), range(columns)):
            share = max(0.0, 1 - abs(row - y)) * max(0.0, 1 - abs(column - x))
            cell = value.detach()[0, (0, 12)[level] + row * columns + column, head]
            expected[0, query, head] += weights[0, query, head, level, point] * share * cell
    torch.testing.assert_close(attend(value, locations, weights), expected.flatten(2))
    assert torch.autograd.gradcheck(attend, (value, locations.requires_grad_(), weights.requires_grad_()))
