import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from pipeline.report.outcome_drawing import CELL, COLORS, draw, sheet, to_jpeg
from pipeline.report.outcomes import DrawnBox

GREY = np.full((120, 160, 3), 90, np.uint8)


def _box(kind, corners=(40.0, 40.0, 120.0, 100.0), name="cat", score=None):
    return DrawnBox(corners, name, kind, score)


def _pixels(picture, color):
    return int((np.asarray(picture) == ImageColor.getrgb(color)).all(axis=2).sum())


@pytest.mark.parametrize(
    ("shape", "size"),
    [((120, 160), (480, 360)), ((1000, 2000), (480, 240)), ((20, 10), (30, 60)), ((1, 5000), (480, 1))],
)
def test_the_longer_side_becomes_the_cell_and_small_images_are_enlarged_threefold_at_most(shape, size):
    assert CELL == 480
    assert draw(np.zeros((*shape, 3), np.uint8), []).size == size


def test_colours_keep_their_channels():
    blue = np.zeros((10, 10, 3), np.uint8)
    blue[:, :, 0] = 200  # BGR
    assert draw(blue, []).getpixel((5, 5)) == (0, 0, 200)


def test_the_box_is_where_it_belongs():
    picture = draw(GREY, [_box("right", name="")])
    inside, edge = picture.getpixel((240, 210)), picture.getpixel((120, 210))
    assert inside == (90, 90, 90)
    assert edge == ImageColor.getrgb(COLORS["right"])


@pytest.mark.parametrize("kind", COLORS)
def test_every_kind_has_its_colour(kind):
    picture = draw(GREY, [_box(kind)])
    assert _pixels(picture, COLORS[kind]) > 200
    assert all(_pixels(picture, color) == 0 for other, color in COLORS.items() if other != kind)


def test_missed_boxes_are_dashed():
    solid, dashed = (_pixels(draw(GREY, [_box(kind, name="")]), COLORS[kind]) for kind in ("right", "missed"))
    assert 0.4 * solid < dashed < 0.8 * solid


def test_names_can_be_left_out_and_scores_stay():
    named, unnamed, plain = (
        _pixels(draw(GREY, [box], with_names=names), COLORS["right"])
        for box, names in (
            (_box("right", score=0.91), True),
            (_box("right", score=0.91), False),
            (_box("right"), False),
        )
    )
    assert named > unnamed > plain


def test_text_grows_with_the_boxes_that_it_is_chosen_for():
    small, large = _box("truth", (0, 0, 10, 10)), _box("truth", (0, 0, 110, 110))
    areas = [
        _pixels(draw(GREY, [_box("right", score=0.91)], text_for=[box]), COLORS["right"]) for box in (small, large)
    ]
    assert areas[1] > 1.1 * areas[0]
    assert areas[1] == _pixels(draw(GREY, [_box("right", score=0.91)], text_for=[large, large]), COLORS["right"])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(*[st.floats(-200, 400)] * 4), max_size=8),
    st.text(max_size=40),
    st.sampled_from(sorted(COLORS)),
)
def test_no_box_and_no_name_is_too_odd_to_draw(corners, name, kind):
    boxes = [_box(kind, tuple(item), name, 0.5) for item in corners]
    assert draw(GREY, boxes).size == (480, 360)


def test_jpeg_and_sheet():
    rows = [[draw(GREY, []), draw(GREY[:60], [])], [draw(GREY, []), draw(GREY, [])]]
    page = sheet(rows, ["ground truth", "twin"])
    assert page.size == (2 * 480 + 8, 34 + 2 * (360 + 8))
    assert page.getpixel((480 + 4, 100)) == (255, 255, 255)
    assert page.getpixel((240, 34 + 180)) == (90, 90, 90)
    loaded = Image.open(io.BytesIO(to_jpeg(page)))
    assert (loaded.format, loaded.size) == ("JPEG", page.size)
