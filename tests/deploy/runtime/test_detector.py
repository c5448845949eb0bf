import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import deploy
from deploy.prediction.prediction import predict
from deploy.runtime import detector as detecting
from deploy.runtime import images as reading
from deploy.runtime.backends import RawDetections
from deploy.runtime.detector import Detector
from deploy.runtime.errors import ArtefactError, BackendClosed, BackendUnavailable, ImageError
from tests.deploy.tiny import SPEC


@pytest.fixture(scope="module")
def detector(artefact: Path) -> Detector:
    return deploy.load(artefact, "onnxruntime", threads=1)


def test_box_comes_back_in_original_pixels(detector: Detector, red_box) -> None:
    found = detector(red_box(64, 96, (30, 10, 50, 20)))
    np.testing.assert_allclose(found.boxes, [[30, 10, 50, 20]])
    assert found.names == ["blob"]
    assert found.scores.tolist() == pytest.approx([10 * 5 / (32 * 48)])


def test_portrait_image_in_a_landscape_canvas(detector: Detector, red_box) -> None:
    found = detector(red_box(320, 160, (20, 100, 100, 300)))
    np.testing.assert_allclose(found.boxes, [[20, 100, 100, 300]], atol=10)


def test_image_without_objects_gives_empty_arrays(detector: Detector) -> None:
    found = detector(np.zeros((20, 20, 3), np.uint8))
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))


def test_paths_arrays_and_lists_give_the_same(detector: Detector, red_box, tmp_path: Path) -> None:
    image = red_box(64, 96, (30, 10, 50, 20))
    path = tmp_path / "x.png"
    cv2.imwrite(str(path), image)
    many = detector([image, path, str(path)])
    assert isinstance(many, list)
    assert len(many) == 3
    for found in [*many, detector(path), detector(str(path)), *detector(image[None])]:
        np.testing.assert_array_equal(found.boxes, many[0].boxes)
    assert detector([]) == []


def test_every_form_of_an_image_gives_the_same(detector: Detector, red_box) -> None:
    image = red_box(64, 96, (30, 10, 50, 20))
    content = cv2.imencode(".png", image)[1].tobytes()
    pillow = Pillow.fromarray(image[..., ::-1])
    forms = [image, content, bytearray(content), memoryview(content), pillow, pillow.convert("P")]
    for found in [*detector(forms), *(detector(form) for form in forms), *detector(iter(forms))]:
        assert found.boxes.tolist() == [[30, 10, 50, 20]]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_arrays_in_rgb_are_told_and_nothing_else_changes(backend: str, artefact: Path, red_box, tmp_path: Path) -> None:
    # It finds red: in the wrong order there is none. On 32 x 48 pixels the array itself would go to the backend.
    for height, width in ((64, 96), (32, 48)):
        bgr = red_box(height, width, (12, 8, 20, 14))
        rgb = bgr[..., ::-1].copy()
        cv2.imwrite(str(tmp_path / "x.png"), bgr)
        content, pillow = (tmp_path / "x.png").read_bytes(), Pillow.fromarray(rgb)
        detector = deploy.load(artefact, backend, threads=1, colors="rgb")
        assert len(detector(bgr)) == 0
        assert detector.timed([bgr])[0][0].boxes.size == 0
        before = rgb.copy()
        forms = [rgb, bgr[..., ::-1], tmp_path / "x.png", str(tmp_path / "x.png"), content, pillow]
        for found in [*detector(forms), detector(rgb), *detector(rgb[None]), *detector.timed([rgb])[0]]:
            assert found.boxes.tolist() == [[12, 8, 20, 14]]
        np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize("colors", ["RGB", "bgra", "", None])
def test_another_order_of_colours_is_refused(artefact: Path, colors: str) -> None:
    with pytest.raises(ValueError, match=rf"colors must be 'bgr' \(as OpenCV decodes\) or 'rgb', got {colors!r}"):
        deploy.load(artefact, "onnxruntime", colors=colors)


class Wrapped:
    """A tensor of another framework: it can be gone through, and made an array."""

    shape = (3, 8, 8)

    def __array__(self) -> np.ndarray:
        return np.zeros(self.shape, np.float32)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.zeros(self.shape, np.float32))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"^image: .* is needed, got NoneType; "),
        (7, r"^image: .* got int; "),
        (0.5, r"^image: .* got float; "),
        ({"x.jpg": 1}, r"^image: .* got dict; "),
        (object, r"^image: .* got type; "),
        (Wrapped(), r"^image: .* got tests\.Wrapped \[3, 8, 8\]; convert it .*channels last"),
        (torch.zeros(3, 8, 8), r"^image: .* got torch\.Tensor \[3, 8, 8\]; convert it "),
        (torch.zeros(2, 3, 8, 8), r"^image: .* got torch\.Tensor \[2, 3, 8, 8\]; "),
        (np.uint8(3), r"^image: .* got numpy\.uint8 \[\]; "),
        (io.BytesIO(b"x"), r"^image: .* got _io\.BytesIO; pass what its read\(\) gives"),
        ([1, 2, 3], r"^images\[0\]: .* got int; "),
        ([[[0, 0, 0]], [[0, 0, 0]]], r"^images\[0\]: .* got list; .* np\.array\(\.\.\., np\.uint8\)"),
        ([np.zeros((8, 8, 3), np.uint8), None], r"^images\[1\]: .* got NoneType; "),
        ([np.zeros((8, 8, 3), np.uint8)] * 9 + [torch.zeros(1)], r"^images\[9\]: .* got torch\.Tensor \[1\]; "),
        (np.zeros((2, 3, 8, 8), np.uint8), r"^images\[0\]: expected .* got uint8 \[3, 8, 8\]; .*transpose"),
        (np.zeros((1, 1, 8, 8, 3), np.uint8), r"^images\[0\]: expected .* got uint8 \[1, 8, 8, 3\]; "),
        (np.array(["a.jpg", "b.jpg"]), r"^image: expected .* got <U5 \[2\]; .* list: image\.tolist\(\)"),
        (np.array(None), r"^image: expected .* got object \[\]; "),
    ],
)
def test_what_is_no_image_is_told_in_a_sentence(detector: Detector, given: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        detector(given)  # type: ignore[call-overload]


def test_timed_takes_arrays_alone(detector: Detector) -> None:
    with pytest.raises(ImageError, match=r"^images\[0\]: .* got str; "):
        detector.timed(["x.png"])  # type: ignore[list-item]


def test_batches_change_nothing_and_stay_within_their_size(artefact: Path, red_box) -> None:
    detector = deploy.load(artefact, "onnxruntime", threads=1, batch_size=3)
    sizes: list[int] = []

    class Counting:
        def __init__(self, backend) -> None:
            self._backend = backend

        def run(self, images: np.ndarray, within: None = None) -> RawDetections:
            sizes.append(len(images))
            return self._backend.run(images)

    detector.backend = Counting(detector.backend)
    images = [red_box(40 + i, 60, (i, i, i + 20, i + 10)) for i in range(7)]
    together = detector(iter(images))
    assert sizes == [3, 3, 1]
    for image, found in zip(images, together, strict=True):
        np.testing.assert_array_equal(found.boxes, detector(image).boxes)


def test_timed_gives_the_phases_of_one_batch(detector: Detector, red_box) -> None:
    images = [red_box(64, 96, (0, 0, 9, 9))] * 9
    found, times = detector.timed(images)
    assert len(found) == 9 > detector.batch_size
    assert min(times.preprocessing, times.inference, times.postprocessing) > 0


def test_any_opened_backend_serves(spec) -> None:
    class Fixed:
        def run(self, images: np.ndarray, sizes: None = None) -> RawDetections:
            boxes = np.array([[[0, 0, 24, 32], [30, 0, 40, 10], [0, 0, 0, 0]]], np.float32)
            scores, labels = np.array([[0.9, 0.8, 0.0]], np.float32), np.array([[1, 0, 0]], np.int32)
            return RawDetections(boxes, scores, labels, np.array([2]))

    found = Detector(spec, Fixed())(np.zeros((64, 48, 3), np.uint8))
    # The second box lies in the padding right of the image (24 of 48 columns are used).
    np.testing.assert_allclose(found.boxes, [[0, 0, 48, 64]])
    assert found.labels.dtype == np.int64


@pytest.mark.parametrize("shape", [(1, 1), (200, 3000), (3000, 200)])
def test_extreme_shapes(detector: Detector, red_box, shape: tuple[int, int]) -> None:
    found = detector(red_box(*shape, (0, 0, shape[1], shape[0])))
    np.testing.assert_allclose(found.boxes, [[0, 0, shape[1], shape[0]]])


def test_bad_images_are_refused(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"text\.png"):
        detector(tmp_path / "text.png")
    with pytest.raises(ImageError, match="BGR order"):
        detector(np.zeros((8, 8), np.uint8))
    with pytest.raises(ImageError, match="BGR order"):
        detector([np.zeros((8, 8, 3), np.float32)])


def test_every_image_is_checked_once_on_its_way(
    detector: Detector, red_box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = red_box(64, 96, (30, 10, 50, 20))
    cv2.imwrite(str(tmp_path / "x.png"), image)
    checks: list[np.ndarray] = []

    def check(image: np.ndarray, colors: str, name: str) -> np.ndarray:
        checks.append(image)
        return image

    for module in (reading, detecting):
        monkeypatch.setattr(module, "checked_image", check)
    # What was decoded here is an image.
    for source, number in ((image, 1), (tmp_path / "x.png", 0), ([image, tmp_path / "x.png", image], 2)):
        checks.clear()
        detector(source)
        assert len(checks) == number
    checks.clear()
    detector.timed([image, image])
    assert len(checks) == 2
    checks.clear()
    predict(detector, [tmp_path / "x.png"], tmp_path / "out", 0.3)
    assert len(checks) == 1


def test_leaving_the_block_closes_the_backend_also_after_an_error(detector: Detector) -> None:
    closed: list[str] = []
    backend = SimpleNamespace(name="x", close=lambda: closed.append("x"))
    with pytest.raises(KeyError), Detector(detector.spec, backend):
        raise KeyError
    assert closed == ["x"]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_arrays_that_may_not_be_written_are_read(backend: str, artefact: Path, red_box) -> None:
    # Arrays over bytes or files are such. On 32 x 48 pixels the array itself goes to the backend.
    detector = deploy.load(artefact, backend, threads=1)
    for height, width in ((32, 48), (64, 96)):
        image = np.frombuffer(red_box(height, width, (12, 8, 20, 14)).tobytes(), np.uint8).reshape(height, width, 3)
        assert not image.flags.writeable
        assert detector(image).boxes.tolist() == [[12, 8, 20, 14]]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_threads_share_a_detector(backend: str, artefact: Path, red_box) -> None:
    boxes = [(number, 2 * number, number + 40, 2 * number + 30) for number in range(1, 25)]
    with deploy.load(artefact, backend, threads=1) as shared, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(shared, [red_box(128, 192, box) for box in boxes]))
    np.testing.assert_allclose([each.boxes[0] for each in found], boxes, atol=4)
    with pytest.raises(BackendClosed, match=rf"{backend}: the detector is closed; open the artefact again"):
        shared(red_box(64, 96, (1, 1, 9, 9)))


def test_bad_artefacts_are_refused(artefact: Path, tmp_path: Path, write) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(artefact.read_bytes()[:500])
    foreign = write(tmp_path / "foreign.onnx", {})
    for path, message in (
        (cut, "not a complete"),
        (foreign, "not an artefact"),
        (tmp_path / "gone.onnx", "cannot be read"),
    ):
        with pytest.raises(ArtefactError, match=f"{path.name}: {message}.*export"):
            deploy.load(path)


def test_backend_that_is_asked_for_runs_or_says_why(artefact: Path) -> None:
    for name in ("onnxruntime", "openvino"):
        assert deploy.load(str(artefact), name, threads=1).backend.name == name
    with pytest.raises(BackendUnavailable, match=r"tensorboard: no such backend; known: .*onnxruntime, openvino"):
        deploy.load(artefact, "tensorboard")


def test_bad_numbers_are_refused(artefact: Path) -> None:
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        deploy.load(artefact, batch_size=0)
    with pytest.raises(ValueError, match="threads must be 0"):
        deploy.load(artefact, threads=-1)


def test_labels_that_the_metadata_has_no_name_for_are_the_artefacts_fault(
    tmp_path: Path, write: Callable[..., Path], red_box: Callable[..., np.ndarray]
) -> None:
    path = write(tmp_path / "few.onnx", replace(SPEC, classes=("crown",)).to_metadata())
    with (
        deploy.load(path, "onnxruntime", threads=1) as detector,
        pytest.raises(
            ArtefactError, match=r"few\.onnx: its graph gives other detections .*labels must be in 0\.\.0, got \[1\]"
        ),
    ):
        detector(red_box(32, 48, (4, 4, 20, 20)))
