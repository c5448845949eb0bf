import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from pipeline.report.marks import marks
from pipeline.report.outcome_drawing import COLORS, draw, photo, sheet, to_jpeg
from pipeline.report.outcomes import DrawnBox

GREY = Image.new("RGB", (160, 120), (90, 90, 90))
COLUMNS = 4


def _box(kind, corners=(40.0, 40.0, 120.0, 100.0), name="cat", score=None):
    return DrawnBox(corners, name, kind, score)


def _drawn(*boxes, columns=COLUMNS, picture=GREY):
    return draw(picture, marks(boxes, picture.size, columns), columns)


def _pixels(picture, color):
    return int((np.asarray(picture) == ImageColor.getrgb(color)).all(axis=2).sum())


@pytest.mark.parametrize(
    ("size", "expected"),
    [((160, 120), (160, 120)), ((2000, 1000), (640, 320)), ((480, 640), (480, 640)), ((1, 6400), (1, 640))],
)
def test_a_photo_has_a_longer_side_of_640_pixels_at_most(size, expected):
    assert photo(np.zeros((size[1], size[0], 3), np.uint8)).size == expected


def test_colours_keep_their_channels():
    blue = np.zeros((10, 10, 3), np.uint8)
    blue[:, :, 0] = 200  # BGR
    assert photo(blue).getpixel((5, 5)) == (0, 0, 200)


@pytest.mark.parametrize(
    ("size", "expected"), [((160, 120), (360, 270)), ((20, 10), (360, 180)), ((1, 640), (1, 720)), ((640, 1), (360, 1))]
)
def test_a_drawing_has_the_width_of_a_column(size, expected):
    assert draw(Image.new("RGB", size), [], COLUMNS).size == expected


def test_the_box_is_where_it_belongs():
    picture = _drawn(_box("right", name=""))
    inside, edge = picture.getpixel((180, 157)), picture.getpixel((90, 157))
    assert inside == (90, 90, 90)
    assert edge == ImageColor.getrgb(COLORS["right"])


@pytest.mark.parametrize("kind", COLORS)
def test_every_kind_has_its_colour(kind):
    picture = _drawn(_box(kind))
    assert _pixels(picture, COLORS[kind]) > 200
    assert all(_pixels(picture, color) == 0 for other, color in COLORS.items() if other != kind)


def test_missed_boxes_are_dashed():
    solid, dashed = (_pixels(_drawn(_box(kind, name="")), COLORS[kind]) for kind in ("right", "missed"))
    assert 0.4 * solid < dashed < 0.8 * solid


def test_labels_grow_with_the_number_of_columns_so_that_they_can_be_read_when_shown():
    bare = _pixels(_drawn(_box("right", name=""), columns=6), COLORS["right"])
    filled = [_pixels(_drawn(_box("right", score=0.9), columns=columns), COLORS["right"]) - bare for columns in (2, 6)]
    assert filled[1] > 4 * filled[0]


def test_a_label_that_is_crowded_out_is_not_drawn():
    boxes = [_box("wrong", score=0.4)] * 30
    made = marks(boxes, GREY.size, 6)
    assert sum(mark.label.is_crowded for mark in made) > 20
    assert draw(GREY, made, 6) == draw(GREY, [mark for mark in made if not mark.label.is_crowded], 6)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(*[st.floats(-200, 400)] * 4), max_size=8),
    st.text(max_size=40),
    st.sampled_from(sorted(COLORS)),
)
def test_no_box_and_no_name_is_too_odd_to_draw(corners, name, kind):
    assert _drawn(*[_box(kind, tuple(item), name, 0.5) for item in corners]).size == (360, 270)


def test_jpeg_and_sheet():
    plain, flat = _drawn(), _drawn(picture=GREY.resize((160, 60)))
    page = sheet([[plain, flat], [plain, plain]], ["ground truth", "twin"])
    assert page.size == (2 * 360 + 8, 34 + 2 * (270 + 8))
    assert page.getpixel((360 + 4, 100)) == (255, 255, 255)
    assert page.getpixel((180, 34 + 135)) == (90, 90, 90)
    for with_lines in (True, False):
        loaded = Image.open(io.BytesIO(to_jpeg(page, with_lines=with_lines)))
        assert (loaded.format, loaded.size) == ("JPEG", page.size)
