"""FPN outputs are paired by their strides."""

import logging

import pytest

from pipeline.detectors import Level
from pipeline.distillers.level_pairs import LevelPair, pair_levels


def levels(*strides: int, width: int = 16) -> list[Level]:
    return [Level(stride, width) for stride in strides]


def places(pairs: list[LevelPair]) -> list[tuple[int, int]]:
    return [(pair.student.place, pair.teacher.place) for pair in pairs]


def test_equal_strides_are_paired_and_the_rest_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        pairs, findings = pair_levels(levels(8, 16, 32, 64, 128, width=32), levels(4, 8, 16, 32), None)
    assert places(pairs) == [(0, 1), (1, 2), (2, 3)]
    assert {pair.widths for pair in pairs} == {(32, 16)}
    assert findings == []
    assert [record.getMessage() for record in caplog.records] == [
        "FPN outputs without a partner take no part: the student's of stride 64, 128; the teacher's of stride 4"
    ]


def test_equal_pyramids_are_paired_level_by_level_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        pairs, _ = pair_levels(levels(8, 16, 32), levels(8, 16, 32), None)
    assert places(pairs) == [(0, 0), (1, 1), (2, 2)]
    assert caplog.records == []


def test_levels_of_one_stride_are_paired_in_their_order() -> None:
    assert places(pair_levels(levels(8, 16, 16), levels(16, 16, 32), None)[0]) == [(1, 0), (2, 1)]
    assert places(pair_levels(levels(16, 16), levels(16), None)[0]) == [(0, 0)]


def test_a_recipe_may_say_the_pairs() -> None:
    pairs, findings = pair_levels(levels(8, 16, 32), levels(4, 16), [[16, 16], [8, 4]])
    assert places(pairs) == [(1, 1), (0, 0)]
    assert findings == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (None, "the student has the strides [8, 16], the teacher [4]: none is equal; give pairs of strides such as"),
        ([], "levels is []; give pairs of strides such as [[8, 8], [16, 32]], the student's first: the student has"),
        ([[8, 4, 2]], "levels is [[8, 4, 2]]; give pairs"),
        ([[8, 8]], "levels asks for [8, 8], which is not there or twice; the student has the strides [8, 16], the"),
        ([[8, 4], [16, 4]], "levels asks for [16, 4], which is not there or twice"),
    ],
)
def test_what_cannot_be_paired_names_both_sides(wanted: list[list[int]] | None, message: str) -> None:
    pairs, findings = pair_levels(levels(8, 16), levels(4), wanted)
    assert pairs == []
    assert len(findings) == 1
    assert message in findings[0]
