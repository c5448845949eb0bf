"""Compare the speed of artefacts that take turns in one run.

python -m deploy.compare artefacts/teacher.onnx artefacts/student.int8.onnx@openvino --images photos/
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import cv2
from tqdm import tqdm

from deploy.runtime.arguments import Parser, natural, positive
from deploy.runtime.backends import BACKENDS, resolve_threads
from deploy.runtime.commands import command
from deploy.runtime.detector import Detector
from deploy.runtime.errors import ArtefactError, BackendUnavailable, ImageError
from deploy.runtime.images import Image, read_image
from deploy.runtime.printable import in_one_line
from deploy.runtime.sources import find_images
from deploy.timing.cpu_affinity import pin
from deploy.timing.groups import Contender, Entrants, Opened, Refused
from deploy.timing.latency import LATENCY_IMAGES
from deploy.timing.turns import Ratio, Schedule, take_turns, times_as_fast, turn_of

SESSIONS = 64
"""Contenders that are open at once, at most: each has threads of its own."""


@dataclass(frozen=True)
class Group:
    """Contenders that were open at once: the rounds of their turns, and the reference's median call among them, ms."""

    rounds: int
    reference: float


@dataclass(frozen=True)
class Compared:
    """What a contender took in the ``group`` (from 0) that it took turns in, by ``calls`` measured calls a turn.

    ``milliseconds`` is the median of a whole call. With more than one group it is the reference's over all groups,
    divided by the ratio to it in the contender's own.
    """

    contender: Contender
    backend: str
    precision: str
    group: int
    calls: int
    milliseconds: float
    ratio: Ratio


@dataclass(frozen=True)
class Comparison:
    """Those that took turns, the reference first, and those that could not."""

    compared: list[Compared]
    groups: list[Group]
    refused: list[Refused]


@dataclass(frozen=True)
class Times:
    """A contender's place among all, the measured calls of its turns, and its median call in each round, ms."""

    place: int
    backend: str
    precision: str
    calls: int
    rounds: list[float]


def compare(
    contenders: Sequence[Contender],
    images: Sequence[Image],
    batch_size: int,
    threads: int,
    schedule: Schedule,
    sessions: int = SESSIONS,
    candidates: int = 1,
) -> Comparison:
    """Let contenders take turns on the same images, in groups where they cannot all be open at once.

    The reference is the fastest of the first ``candidates`` that are in the first group.

    Args:
        images: decoded BGR images, at least one; the turns of a round begin with the same one.
        threads: CPU threads of every contender; 0 is every core.
        sessions: most of them that are open at once, two at least.

    Raises:
        ArtefactError: a contender that had run failed later.
    """
    batches = [list(islice(cycle(images), at * batch_size, (at + 1) * batch_size)) for at in range(len(images))]
    cv2.setNumThreads(resolve_threads(threads))
    entrants = Entrants(contenders, batches[0], threads, sessions)
    groups: list[list[Times]] = []
    for opened in entrants.groups(lambda: groups[0][0].place):
        times = _take_turns(opened, batches, schedule, len(contenders))
        groups.append(times if groups else reference_first(times, candidates))
    found = [Group(len(own[0].rounds), median(own[0].rounds)) for own in groups]
    return Comparison(tied(contenders, groups), found, entrants.refused)


def _take_turns(
    opened: Sequence[Opened], batches: Sequence[list[Image]], schedule: Schedule, contenders: int
) -> list[Times]:
    share = schedule.seconds_of(contenders)
    runs = {each.place: _call(each.detector, batches) for each in opened}
    turns = {each.place: turn_of(each.seconds, schedule.calls, share) for each in opened}
    seconds = share * schedule.rounds * len(opened)
    with tqdm(total=schedule.rounds * len(runs), desc="taking turns", unit="turn", leave=False) as bar:
        times = take_turns(runs, turns, schedule.rounds, seconds, bar.update)
    found = []
    for each in opened:
        backend, place = each.detector.backend, each.place
        found.append(Times(place, backend.name, backend.precision, turns[place].calls, times[place]))
    return found


def _call(detector: Detector, batches: Sequence[list[Image]]) -> Callable[[int], float]:
    return lambda number: detector.timed(batches[number % len(batches)])[1].total


def reference_first(times: list[Times], candidates: int) -> list[Times]:
    """Those of the first group, and of them the fastest of the first ``candidates`` before all others."""
    eligible = [each for each in times if each.place < candidates] or times[:1]
    reference = min(eligible, key=lambda each: median(each.rounds))
    return [reference, *(each for each in times if each is not reference)]


def tied(contenders: Sequence[Contender], groups: Sequence[Sequence[Times]]) -> list[Compared]:
    """All contenders, each rated in its own group by the reference, which is the first one of every group."""
    overall = median([time for group in groups for time in group[0].rounds]) if groups else 0.0
    found = []
    for number, group in enumerate(groups):
        for each in group[1 if number else 0 :]:
            ratio = times_as_fast(each.rounds, group[0].rounds)
            milliseconds = median(each.rounds) if len(groups) == 1 else overall / ratio.median
            rated = (number, each.calls, milliseconds, ratio)
            found.append(Compared(contenders[each.place], each.backend, each.precision, *rated))
    return found


def parse_contender(text: str) -> Contender:
    """``FILE`` or ``FILE@BACKEND``; an ``@`` in a file's name is left alone unless a backend's name follows it."""
    artefact, _, backend = text.rpartition("@")
    return Contender(artefact, backend) if artefact and backend in BACKENDS else Contender(text, None)


def table(compared: Sequence[Compared]) -> str:
    """One line a contender."""
    names = [in_one_line(each.contender.artefact) for each in compared]
    width = max(map(len, names))
    lines = [f"{'':{width}}  {'backend':20} {'precision':14} {'ms':>9} {'times as fast':>14}  quartiles"]
    lines += [
        f"{name:{width}}  {each.backend:20} {each.precision:14} {each.milliseconds:9.2f} "
        f"{each.ratio.median:14.2f}  {each.ratio.low:.2f} to {each.ratio.high:.2f}"
        for name, each in zip(names, compared, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m deploy.compare",
        description="Compare the speed of artefacts: they take turns in one run, on the same images.",
        epilog="The first artefact is the reference. The quartiles are those of the ratio over the rounds.",
    )
    parser.add_argument("models", nargs="+", metavar="MODEL[@BACKEND]", help=f"backends: {', '.join(BACKENDS)}")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="image files, or folders of them")
    parser.add_argument("--batch", type=positive, default=1, help="images of a call (%(default)s)")
    parser.add_argument("--threads", type=natural, default=0, help="CPU threads; 0 is every core (%(default)s)")
    parser.add_argument("--rounds", type=positive, default=15, help="turns of each model (%(default)s)")
    parser.add_argument("--calls", type=positive, default=8, help="measured calls in a turn (%(default)s)")
    return parser.parse_args(argv)


@command(ArtefactError, BackendUnavailable, ImageError)
def main(argv: Sequence[str] | None = None) -> None:
    """See ``python -m deploy.compare --help``."""
    options = _parse(argv)
    files = find_images(options.images, Path("predictions"))[:LATENCY_IMAGES]
    images = [read_image(file) for file in files]
    pin(resolve_threads(options.threads))
    contenders = [parse_contender(text) for text in options.models]
    schedule = Schedule(options.rounds, options.calls)
    comparison = compare(contenders, images, options.batch, options.threads, schedule)
    for refused in comparison.refused:
        raise refused.error
    sys.stdout.write(table(comparison.compared))


if __name__ == "__main__":
    main()
