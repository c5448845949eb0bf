"""How long the stages took on this machine, and from that about how long the rest of the chain will take.

DVC names the stage whose command it runs in an environment variable; a stage that is started by hand is not timed.
"""

import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from statistics import fmean
from typing import NamedTuple

from deploy.runtime.text_files import UnreadableText, is_finite, read_json
from pipeline.chain import Chain, read_chain
from pipeline.layout import STAGE_TIMES
from pipeline.storage import write_atomic

STAGE_VARIABLE = "DVC_STAGE"
_DAYS = 3
"""From which on no one reads hours."""
_OFTEN_EQUAL = ("surroundings", "recipes")
"""Stages that run for many reasons and then mostly write what was there: what reads it does not run again."""

logger = logging.getLogger(__name__)


class StageTime(NamedTuple):
    """Seconds of a stage, and when it ended (Unix time); none where it has not run and the seconds are expected."""

    seconds: float
    ended: float | None


@contextmanager
def timed() -> Iterator[None]:
    """Say what part of the chain begins and about how long the rest takes, and write down how long this part took.

    Nothing is written where the block ends in an error, and nothing is done outside of DVC.
    """
    if not (name := os.environ.get(STAGE_VARIABLE)):
        yield
        return
    if line := place_in_chain(name, read_chain(), read_times()):
        logger.info("%s", line)
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    _write({**read_times(), name: StageTime(seconds, time.time())})


def expect(seconds: Mapping[str, float]) -> None:
    """Forget what was measured, for another choice of models or data, and expect this of stages by their names."""
    _write({name: StageTime(value, None) for name, value in seconds.items()})


def read_times() -> dict[str, StageTime]:
    """What is known of each stage, by its name; nothing where the file is missing or damaged."""
    try:
        content = read_json(STAGE_TIMES)
    except UnreadableText:
        return {}
    if not isinstance(content, dict):
        return {}
    entries = {name: tuple(entry) for name, entry in content.items() if isinstance(entry, list) and len(entry) == 2}
    return {
        name: StageTime(seconds, ended)
        for name, (seconds, ended) in entries.items()
        if is_finite(seconds) and (ended is None or is_finite(ended))
    }


def _write(times: Mapping[str, StageTime]) -> None:
    # A disk that is full here must not cost the result of the stage, which is written.
    with suppress(OSError):
        write_atomic(STAGE_TIMES, json.dumps(times, indent=1) + "\n")


def place_in_chain(name: str, chain: Chain, times: Mapping[str, StageTime]) -> str:
    """A line like ``stage 12 of 35: distill@crosskd; about 14 min left``; nothing for a stage that is not of the chain.

    Left are this stage and, of those after it, each that never ended here, or that reads from one that ended later or
    is left itself. A stage without a time takes as long as others of its verb on average; where there are none, the
    line says so.
    """
    if name not in chain:
        return ""
    place = f"stage {[*chain].index(name) + 1} of {len(chain)}: {name}"
    left = _left(name, chain, times)
    known = {each: seconds for each in left if (seconds := _seconds(each, times)) is not None}
    if not known or (name in _OFTEN_EQUAL and len(left) == 1):
        return place
    unknown = ", ".join(dict.fromkeys(_kind(each) for each in left if each not in known))
    more = f", and what was never timed here ({unknown})" if unknown else ""
    return f"{place}; about {duration(sum(known.values()))} left{more}"


def _left(name: str, chain: Chain, times: Mapping[str, StageTime]) -> list[str]:
    order = [*chain]
    left = {name: None}
    for each in order[order.index(name) + 1 :]:
        ended = _ended(each, times)
        parents = [parent for parent in chain[each] if parent not in _OFTEN_EQUAL]
        if ended == -math.inf or any(parent in left or _ended(parent, times) > ended for parent in parents):
            left[each] = None
    return [*left]


def _ended(name: str, times: Mapping[str, StageTime]) -> float:
    found = times.get(name)
    return -math.inf if found is None or found.ended is None else found.ended


def _seconds(name: str, times: Mapping[str, StageTime]) -> float | None:
    if name in times:
        return times[name].seconds
    of_kind = [found.seconds for other, found in times.items() if _kind(other) == _kind(name)]
    return fmean(of_kind) if of_kind else None


def _kind(name: str) -> str:
    """``evaluate`` of ``evaluate_twin@twin``: its verb."""
    return name.partition("@")[0].partition("_")[0]


def duration(seconds: float) -> str:
    """``12 days``, ``3 h 05 min``, ``14 min``; never less than a minute."""
    minutes = max(1, round(seconds / 60))
    if minutes >= _DAYS * 24 * 60:
        return f"{round(minutes / 24 / 60)} days"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
