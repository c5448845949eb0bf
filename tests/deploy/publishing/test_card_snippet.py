"""The Python of a model card runs with numpy and ONNX Runtime alone, and finds what `deploy` finds."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deploy
from deploy.runtime.artefact import read_spec
from pipeline.report.card_page import snippet

Detect = Callable[..., Any]


def detect_of(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> Detect:
    """What a reader of the card has, who copies it beside the artefact."""
    monkeypatch.chdir(artefact.parent)
    text, names = snippet(f"artefacts/{artefact.name}", read_spec(artefact)), dict[str, Any]()
    imported = [node.names[0].name for node in ast.parse(text).body if isinstance(node, ast.Import)]
    assert imported == ["json", "numpy", "onnxruntime"]
    exec(text, names)
    return names["detect"]


def smooth_picture(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / 9 + shift) + np.cos(columns / 7 + shift) for shift in range(3)]
    return (127 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)


def test_an_exported_detector(exported_gfl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detect = detect_of(exported_gfl, monkeypatch)
    with deploy.load(exported_gfl, "onnxruntime", threads=1) as detector:
        for size in ((128, 128), (200, 150), (60, 100)):
            picture = smooth_picture(*size)
            boxes, scores, names = detect(picture, score=0.0)
            expected = detector(picture)
            # Where it is resized, a pixel differs by one now and then: the best detections stay, some of the last not.
            is_resized = size != (128, 128)
            count = 5 if is_resized else len(scores)
            assert len(scores) >= count >= 5
            np.testing.assert_allclose(scores[:count], expected.scores[:count], atol=0.02 if is_resized else 0)
            np.testing.assert_allclose(boxes[:count], expected.boxes[:count], atol=3 if is_resized else 1e-3)
            assert names[:count] == [detector.spec.classes[label] for label in expected.labels[:count]]


@pytest.mark.parametrize("size", [(64, 96), (33, 80), (100, 40)])
def test_an_artefact_of_any_size(
    dynamic_artefact: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, red_box: Callable[..., np.ndarray]
) -> None:
    picture = red_box(*size, (8, 10, 30, 28))
    boxes, scores, names = detect_of(dynamic_artefact, monkeypatch)(picture, score=0.0)
    with deploy.load(dynamic_artefact, "onnxruntime", threads=1) as detector:
        expected = detector(picture)
    assert len(boxes) == len(expected.boxes) == 1
    # A pixel on the border of the box counts or does not, where OpenCV rounds otherwise.
    np.testing.assert_allclose(boxes, expected.boxes, atol=1e-4 if size == (64, 96) else 1.6)
    np.testing.assert_allclose(scores, expected.scores, atol=1e-3)
    assert names == ["blob"]


def test_the_score_of_the_artefact_is_the_default(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detect = detect_of(artefact, monkeypatch)
    faint = np.zeros((32, 48, 3), np.uint8)
    faint[:16, :24, 2] = 255
    assert len(detect(faint)[0]) == 0
    assert detect(faint, score=0.2)[1].tolist() == pytest.approx([0.25])
