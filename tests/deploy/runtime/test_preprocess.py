from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.preprocess import Letterbox, graph_inputs, letterbox
from tests.deploy.tiny import DYNAMIC_SPEC

side = st.integers(1, 20_000)
canvas_side = st.integers(1, 1_344)


def square(spec: ArtefactSpec, size: int) -> ArtefactSpec:
    return replace(spec, input_height=size, input_width=size)


@given(height=side, width=side, canvas=st.tuples(canvas_side, canvas_side))
def test_fit_stays_inside_the_canvas_and_touches_a_side(height: int, width: int, canvas: tuple[int, int]) -> None:
    resized = Letterbox.fit((height, width), canvas).resized
    assert 1 <= resized[0] <= canvas[0]
    assert 1 <= resized[1] <= canvas[1]
    assert resized[0] == canvas[0] or resized[1] == canvas[1]


@given(height=side, width=side, edges=st.tuples(canvas_side, canvas_side).map(lambda edges: (max(edges), min(edges))))
def test_within_gives_the_size_that_mmcv_gives(height: int, width: int, edges: tuple[int, int]) -> None:
    mmcv = pytest.importorskip("mmcv")
    resized = Letterbox.within((height, width), edges).resized
    expected = mmcv.rescale_size((width, height), edges)
    assert resized == (max(1, expected[1]), max(1, expected[0]))
    assert max(resized) <= edges[0]
    assert min(resized) <= edges[1]


@pytest.mark.parametrize(
    ("shapes", "canvas"),
    [
        ([(40, 64)], (48, 64)),
        ([(128, 80)], (64, 48)),
        ([(40, 64), (64, 40)], (64, 64)),
        ([(1, 900)], (16, 64)),
        # As large as its canvas, and yet to be made smaller.
        ([(48, 64)], (48, 64)),
        ([(1, 1)], (48, 48)),
    ],
)
def test_canvas_of_a_dynamic_size(shapes: list[tuple[int, int]], canvas: tuple[int, int]) -> None:
    images = [np.full((*shape, 3), 200, np.uint8) for shape in shapes]
    batch, placements = letterbox(images, DYNAMIC_SPEC)
    assert batch.shape == (len(shapes), *canvas, 3)
    inputs = graph_inputs(images, DYNAMIC_SPEC)
    np.testing.assert_array_equal(inputs["images"], batch)
    assert inputs["sizes"].dtype == np.int64
    for image, (height, width), placement in zip(batch, inputs["sizes"], placements, strict=True):
        assert (height, width) == placement.resized
        assert (image[:height, :width] == 200).all()
        assert (image[height:] == DYNAMIC_SPEC.pad_value).all()
        assert (image[:, width:] == DYNAMIC_SPEC.pad_value).all()


def test_fixed_size_has_one_input(spec: ArtefactSpec) -> None:
    assert list(graph_inputs([np.zeros((8, 8, 3), np.uint8)], spec)) == ["images"]


@given(height=st.integers(8, 4_000), width=st.integers(8, 4_000), data=st.data())
def test_boxes_return_to_where_they_came_from(height: int, width: int, data: st.DataObject) -> None:
    placement = Letterbox.fit((height, width), (256, 320))
    x = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    y = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    factor_y, factor_x = placement.resized[0] / height, placement.resized[1] / width
    on_canvas = np.array([[x[0] * factor_x, y[0] * factor_y, x[1] * factor_x, y[1] * factor_y]], np.float32)
    restored = placement.to_original(on_canvas)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, [[x[0], y[0], x[1], y[1]]], atol=1e-3 * max(height, width))


def test_boxes_are_clipped_to_the_image() -> None:
    placement = Letterbox.fit((100, 200), (64, 64))
    assert placement.resized == (32, 64)
    boxes = np.array([[-5, -5, 70, 40], [10, 40, 20, 60]], np.float32)
    np.testing.assert_allclose(placement.to_original(boxes), [[0, 0, 200, 100], [31.25, 100, 62.5, 100]])


def test_no_boxes_stay_no_boxes() -> None:
    assert Letterbox.fit((10, 10), (64, 64)).to_original(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("shape", [(256, 256), (200, 300), (300, 200), (37, 511), (1, 1), (1035, 1249), (3000, 200)])
def test_square_canvas_gives_what_mmcv_gives_in_training(spec: ArtefactSpec, shape: tuple[int, int]) -> None:
    mmcv = pytest.importorskip("mmcv")
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    batch, _ = letterbox([image], square(spec, 256))
    resized = mmcv.imrescale(image, (256, 256))
    expected = mmcv.impad(resized, shape=(256, 256), pad_val=spec.pad_value)
    np.testing.assert_array_equal(batch[0], expected)


@pytest.mark.parametrize("shape", [(1, 40_000), (40_000, 1)])
def test_extreme_ratio_keeps_one_row_of_pixels(spec: ArtefactSpec, shape: tuple[int, int]) -> None:
    batch, placements = letterbox([np.full((*shape, 3), 9, np.uint8)], square(spec, 64))
    assert placements[0].resized == (min(shape[0], 64), min(shape[1], 64))
    assert (batch[0] == 9).all(axis=-1).sum() == 64


def test_padding_has_the_pad_value_of_every_channel(spec: ArtefactSpec) -> None:
    batch, _ = letterbox([np.full((32, 24, 3), 77, np.uint8), np.full((8, 48, 3), 78, np.uint8)], spec)
    assert batch.shape == (2, 32, 48, 3)
    assert (batch[0, :, :24] == 77).all()
    assert (batch[0, :, 24:] == spec.pad_value).all()
    assert (batch[1, :8] == 78).all()
    assert (batch[1, 8:] == spec.pad_value).all()


def test_rgb_artefact_gets_rgb(spec: ArtefactSpec) -> None:
    image = np.full((32, 24, 3), (1, 2, 3), np.uint8)
    batch, _ = letterbox([image], replace(spec, color_order="rgb"))
    np.testing.assert_array_equal(batch[0, 0, 0], (3, 2, 1))
    np.testing.assert_array_equal(batch[0, 0, -1], spec.pad_value)


def test_single_image_that_fits_is_not_copied(spec: ArtefactSpec) -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    batch, placements = letterbox([image], spec)
    assert batch.shape == (1, 32, 48, 3)
    assert np.shares_memory(batch, image)
    assert placements[0].resized == placements[0].original


def test_view_with_strides_is_made_contiguous(spec: ArtefactSpec) -> None:
    wide = np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    batch, _ = letterbox([wide[::2, ::2]], spec)
    assert batch.flags.c_contiguous
    np.testing.assert_array_equal(batch[0], wide[::2, ::2])
