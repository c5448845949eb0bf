"""Which FPN outputs of a student and a teacher are compared with each other."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.detectors import Level

logger = logging.getLogger(__name__)

WantedPairs = Sequence[Sequence[int]] | None
"""Strides of a student's FPN output and of the teacher's, a pair each; None for those of equal strides."""

PAIRS_LOOK = "pairs of strides such as [[8, 8], [16, 32]], the student's first"


class Place(NamedTuple):
    """An FPN output: its number from 0 among all of its detector's, and its width."""

    place: int
    width: int


class LevelPair(NamedTuple):
    """Two FPN outputs that are compared."""

    student: Place
    teacher: Place

    @property
    def widths(self) -> tuple[int, int]:
        """Channels of the student's and of the teacher's."""
        return self.student.width, self.teacher.width


def pair_levels(
    student: Sequence[Level], teacher: Sequence[Level], wanted: WantedPairs
) -> tuple[list[LevelPair], list[str]]:
    """Pair the FPN outputs of two detectors, in the order of the student's or of ``wanted``.

    Each takes part once; the first one of a stride is taken first. Those without a partner are named in the log.

    Args:
        student, teacher: all of their FPN outputs.
        wanted: strides to pair; else those that both have.

    Returns:
        The pairs, and what of them is wrong.
    """
    strides_s, strides_t = ([level.stride for level in levels] for levels in (student, teacher))
    have = f"the student has the strides {strides_s}, the teacher {strides_t}"
    if wanted is not None and (not wanted or any(len(pair) != 2 for pair in wanted)):
        return [], [f"levels is {list(wanted)}; give {PAIRS_LOOK}: {have}"]
    asked = wanted if wanted is not None else [(stride, stride) for stride in strides_s if stride in strides_t]
    left_s, left_t = dict(enumerate(strides_s)), dict(enumerate(strides_t))
    pairs: list[LevelPair] = []
    for stride_s, stride_t in asked:
        place_s, place_t = _first(stride_s, left_s), _first(stride_t, left_t)
        if place_s is not None and place_t is not None:
            del left_s[place_s], left_t[place_t]
            pairs.append(LevelPair(Place(place_s, student[place_s].width), Place(place_t, teacher[place_t].width)))
        elif wanted is not None:
            return [], [f"levels asks for {[stride_s, stride_t]}, which is not there or twice; {have}"]
    if not pairs:
        return [], [f"{have}: none is equal; give {PAIRS_LOOK}, as `levels`"]
    if left_s or left_t:
        logger.info("FPN outputs without a partner take no part: %s", _named(left_s, left_t))
    return pairs, []


def _first(stride: int, left: dict[int, int]) -> int | None:
    return next((place for place, other in left.items() if other == stride), None)


def _named(left_s: dict[int, int], left_t: dict[int, int]) -> str:
    sides = (("student", left_s), ("teacher", left_t))
    return "; ".join(f"the {who}'s of stride {', '.join(map(str, left.values()))}" for who, left in sides if left)
