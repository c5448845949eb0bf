import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.datasets.orientation import ORIENTATIONS, swaps_sides, turn_box, turn_image

STORED = np.arange(4 * 7 * 3, dtype=np.uint8).reshape(4, 7, 3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_image_is_turned_as_pillow_turns_it(orientation):
    image = Image.fromarray(STORED)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(turn_image(STORED, orientation), expected)
    assert swaps_sides(orientation) == (expected.shape == (7, 4, 3))


@given(
    orientation=st.sampled_from(ORIENTATIONS),
    left=st.integers(0, 5),
    top=st.integers(0, 2),
    width=st.integers(1, 2),
    height=st.integers(1, 2),
)
def test_a_box_covers_the_same_pixels_after_it_is_turned(orientation, left, top, width, height):
    upright = turn_image(STORED, orientation)
    x, y, w, h = turn_box((left, top, width, height), orientation, upright.shape[1], upright.shape[0])
    inside = STORED[top : top + height, left : left + width]
    assert sorted(upright[y : y + h, x : x + w].ravel()) == sorted(inside.ravel())


def test_fractions_are_kept():
    assert turn_box((0.5, 1, 2, 1.25), 6, 4, 7) == (4 - 1 - 1.25, 0.5, 1.25, 2)
