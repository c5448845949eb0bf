"""The ONNX forms of the operators against their PyTorch forms, in ONNX Runtime and OpenVINO."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from torch import Tensor, nn

from deploy.engines.portable import replace_nms
from deploy.graph.nms import nms_keep, top_candidates
from deploy.graph.translations import STANDARD

COUNT, KEPT = 60, 20
Run = Callable[..., list[np.ndarray]]


class Selection(nn.Module):
    """Candidates, NMS and the final choice, without a detector around them."""

    def __init__(self, classes: int, threshold: float) -> None:
        super().__init__()
        self.classes = classes
        self.threshold = threshold

    def forward(self, pairs: Tensor, boxes: Tensor) -> tuple[Tensor, ...]:
        scores, indices = top_candidates(pairs, min(COUNT, pairs.shape[1]))
        boxes = boxes.gather(1, (indices // self.classes)[..., None].expand(-1, -1, 4))
        keep = nms_keep(boxes, scores, indices % self.classes, self.classes, self.threshold)
        return keep, *top_candidates(scores * keep, KEPT)


def example(kind: str, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(images)
    corner = rng.integers(0, 40, (images, 30, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 30, (images, 30, 2))], axis=-1).astype(np.float32)
    scores = rng.permuted(np.linspace(0.01, 0.99, 30 * classes), axis=0)
    pairs = np.stack([rng.permutation(scores) for _ in range(images)]).astype(np.float32)
    if kind == "few":
        pairs[pairs < 0.9] = 0
    if kind == "none":
        pairs[:] = 0
    if kind == "equal":
        pairs = np.round(pairs * 3) / np.float32(3)
    if kind == "chain":
        left = np.arange(30) * 2
        chain = np.stack([left, np.zeros(30), left + 8, np.full(30, 10)], axis=1)
        boxes = np.broadcast_to(chain, (images, 30, 4)).astype(np.float32)
    return pairs, boxes


@cache
def standard(classes: int, threshold: float) -> onnx.ModelProto:
    program: Any = torch.onnx.export(
        Selection(classes, threshold).eval(),
        tuple(map(torch.tensor, example("many", 2, classes))),
        dynamo=True,
        verbose=False,
        opset_version=18,
        input_names=["pairs", "boxes"],
        dynamic_shapes=({0: "batch"}, {0: "batch"}),
        custom_translation_table=STANDARD,
    )
    model: onnx.ModelProto = program.model_proto
    return model


def exported(module: Selection, passes: int) -> bytes:
    """As an ONNX file, in its portable form if ``passes`` are given."""
    model = onnx.ModelProto()
    model.CopyFrom(standard(module.classes, module.threshold))
    if passes:
        replace_nms(model, module.threshold, passes, "selection")
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@pytest.fixture(
    scope="module",
    params=[(2, 0.6, 0), (80, 0.5, 0), (1, 0.5, 30), (80, 0.5, 30)],
    ids=["2 classes", "80 classes", "1 class, portable", "80 classes, portable"],
)
def selection(request: pytest.FixtureRequest) -> tuple[Selection, Run, Run]:
    classes, threshold, passes = request.param
    module = Selection(classes, threshold).eval()
    content = exported(module, passes)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return (
        module,
        lambda pairs, boxes: session.run(None, {"pairs": pairs, "boxes": boxes}),
        lambda pairs, boxes: list(compiled([pairs, boxes]).values()),
    )


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("kind", ["many", "few", "none", "equal", "chain"])
def test_onnx_runtime_decides_as_pytorch(selection: tuple[Selection, Run, Run], kind: str, images: int) -> None:
    module, run, _ = selection
    inputs = example(kind, images, module.classes)
    for expected, found in zip(module(*map(torch.tensor, inputs)), run(*inputs), strict=True):
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("kind", ["many", "few", "none", "chain"])
def test_openvino_decides_as_pytorch(selection: tuple[Selection, Run, Run], kind: str, images: int) -> None:
    module, _, run = selection
    inputs = example(kind, images, module.classes)
    keep, scores, indices = (output.numpy() for output in module(*map(torch.tensor, inputs)))
    found_keep, found_scores, found_indices = run(*inputs)
    np.testing.assert_array_equal(found_keep, keep)
    np.testing.assert_array_equal(found_scores, scores)
    # Where the score is 0 there is no detection, and the index means nothing.
    np.testing.assert_array_equal(found_indices[scores > 0], indices[scores > 0])


def test_too_few_passes_keep_boxes_and_lose_none() -> None:
    module = Selection(1, 0.5).eval()
    session = onnxruntime.InferenceSession(exported(module, passes=2), providers=["CPUExecutionProvider"])
    # Box after box suppresses the next one: 29 links.
    pairs, boxes = example("chain", 1, 1)
    pairs[0] = np.linspace(0.9, 0.1, 30, dtype=np.float32)
    exact = module(torch.tensor(pairs), torch.tensor(boxes))[0][0].tolist()
    (found,) = session.run(None, {"pairs": pairs, "boxes": boxes})[0].tolist()
    assert exact == [True, False] * 15
    assert found == [True, False] + [True] * 28


def test_examples_reach_the_cases_that_they_are_named_for() -> None:
    outputs = {
        kind: Selection(2, 0.6)(*map(torch.tensor, example(kind, 2, 2))) for kind in ("many", "few", "none", "chain")
    }
    kept = {kind: keep.sum(dim=1).tolist() for kind, (keep, _, _) in outputs.items()}
    assert min(kept["many"]) > KEPT
    assert 0 < max(kept["few"]) < KEPT
    assert kept["none"] == [0, 0]
    assert max(kept["chain"]) < COUNT
