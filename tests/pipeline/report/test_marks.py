import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report.marks import LABEL_HEIGHT, marks, shown_width
from pipeline.report.outcomes import DrawnBox


def _box(corners=(40.0, 40.0, 120.0, 100.0), kind="right", name="cat", score=None):
    return DrawnBox(tuple(map(float, corners)), name, kind, score)


def _rectangle(label, columns, size):
    """Where a label is on a screen where the picture has its least width: left, top, right, bottom."""
    width = shown_width(columns)
    x, y = label.x * width + label.left, label.y * width * size[1] / size[0] + label.top
    return x, y, x + label.width, y + LABEL_HEIGHT


def _meet(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_six_columns_share_the_page():
    assert shown_width(1) == 1072
    assert 6 * shown_width(6) + 5 * 10 == 1072


def test_a_box_is_in_shares_of_the_picture_and_in_words():
    (mark,) = marks([_box((32, 12, 160, 60), score=0.913)], (320, 120), 6)
    assert (mark.x, mark.y, mark.width, mark.height) == pytest.approx((0.1, 0.1, 0.4, 0.4))
    assert (mark.kind, mark.title, mark.label.text) == ("right", "right: cat, 0.91", "cat 0.91")


@pytest.mark.parametrize(
    ("box", "with_names", "text"),
    [
        (_box(), True, "cat"),
        (_box(score=0.5), False, "0.50"),
        (_box(kind="crowd"), False, "crowd"),
        (_box(name="a\x1bb"), True, "a b"),
        (_box(name="a name of very many letters", score=0.5), True, "a name of very many let… 0.50"),
    ],
)
def test_what_a_label_says(box, with_names, text):
    (mark,) = marks([box], (320, 320), 6, with_names=with_names)
    assert mark.label.text == text


def test_a_truth_without_a_name_has_no_label():
    (mark,) = marks([_box(kind="truth")], (320, 320), 6, with_names=False)
    assert mark.label is None


def test_a_label_is_above_its_box_and_below_where_there_is_no_room():
    above, below = marks([_box((20, 100, 80, 150)), _box((200, 5, 260, 80))], (320, 320), 6)
    assert (above.label.x, above.label.y) == pytest.approx((20 / 320, 100 / 320))
    assert (above.label.left, above.label.top) == (0, -LABEL_HEIGHT)
    assert below.label.y == pytest.approx(80 / 320)
    assert below.label.top == 0


def test_a_label_covers_no_other_box_where_it_can():
    over, under = (20, 100, 80, 200), (20, 95, 80, 99)
    first, _ = marks([_box(over), _box(under)], (320, 320), 6)
    assert first.label.y == pytest.approx(200 / 320)


def test_labels_that_would_cover_others_are_crowded_out_the_weakest_first():
    boxes = [_box((100, 100, 110, 110), score=0.1 + number / 100) for number in range(40)]
    labels = [mark.label for mark in marks(boxes, (320, 320), 6)]
    assert not labels[-1].is_crowded
    assert labels[0].is_crowded
    assert 2 <= sum(not label.is_crowded for label in labels) <= 6


def test_a_name_of_wide_letters_has_their_room():
    narrow, wide = (marks([_box(name=name)], (320, 320), 2)[0].label.width for name in ("dog", "犬犬犬"))
    assert wide == pytest.approx(3 * 11 + 6)
    assert narrow < wide


@settings(max_examples=60)
@given(
    st.lists(st.tuples(*[st.floats(-50, 350)] * 4), max_size=12),
    st.integers(1, 7),
    st.sampled_from([(320, 240), (240, 320), (20, 20), (3000, 40)]),
    st.text(max_size=30),
)
def test_labels_lie_on_the_picture_and_apart(corners, columns, size, name):
    made = marks([_box(item, name=name, score=0.5) for item in corners], size, columns)
    shown = [_rectangle(mark.label, columns, size) for mark in made if not mark.label.is_crowded]
    height = shown_width(columns) * size[1] / size[0]
    slack = 0.2  # offsets are rounded to tenths
    for left, top, right, bottom in shown:
        assert left >= -slack
        assert right <= shown_width(columns) + slack
        assert top >= -slack
        assert bottom <= max(height, LABEL_HEIGHT) + slack
    smaller = [(left + slack, top + slack, right - slack, bottom - slack) for left, top, right, bottom in shown]
    assert not any(_meet(one, other) for one, other in itertools.combinations(smaller, 2))
