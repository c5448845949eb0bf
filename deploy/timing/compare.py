"""Compare the speed of artefacts that take turns in one run.

python -m deploy.compare artefacts/teacher.onnx artefacts/student.int8.onnx@openvino --images photos/
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import cv2
from tqdm import tqdm

from deploy.runtime.arguments import Parser, natural, positive
from deploy.runtime.backends import BACKENDS, resolve_threads
from deploy.runtime.commands import command
from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.errors import ArtefactError, BackendUnavailable, ImageError
from deploy.runtime.images import Image, read_image
from deploy.runtime.printable import in_one_line
from deploy.runtime.sources import find_images
from deploy.timing.cpu_affinity import pin
from deploy.timing.latency import LATENCY_IMAGES
from deploy.timing.turns import Ratio, take_turns, times_as_fast

_WARM_UP = 2


@dataclass(frozen=True)
class Contender:
    """An artefact under a backend; None is the first backend that runs it here."""

    artefact: str
    backend: str | None


@dataclass(frozen=True)
class Compared:
    """Median milliseconds of a whole call, and how many times as fast as the first contender."""

    contender: Contender
    backend: str
    precision: str
    milliseconds: float
    ratio: Ratio


def compare(
    contenders: Sequence[Contender], images: Sequence[Image], batch_size: int, threads: int, rounds: int, calls: int
) -> list[Compared]:
    """Let the contenders take turns on the same images; the first one is the reference.

    Args:
        images: decoded BGR images, at least one; each turn begins with the first.
        threads: CPU threads of every contender; 0 is every core.
        rounds: turns of each contender.
        calls: measured calls in a turn.

    Raises:
        ArtefactError, BackendUnavailable: a contender cannot be opened.
    """
    batches = [list(islice(cycle(images), place * batch_size, (place + 1) * batch_size)) for place in range(calls)]
    with ExitStack() as stack:
        detectors = [stack.enter_context(open_detector(each.artefact, each.backend, threads)) for each in contenders]
        cv2.setNumThreads(resolve_threads(threads))
        runs = {str(place): _call(detector, batches) for place, detector in enumerate(detectors)}
        with tqdm(total=rounds * len(runs), desc="taking turns", unit="turn", leave=False) as bar:
            times = list(take_turns(runs, rounds, calls, _WARM_UP, bar.update).values())
    return [
        Compared(each, detector.backend.name, detector.backend.precision, median(own), times_as_fast(own, times[0]))
        for each, detector, own in zip(contenders, detectors, times, strict=True)
    ]


def _call(detector: Detector, batches: Sequence[list[Image]]) -> Callable[[int], float]:
    return lambda number: detector.timed(batches[number % len(batches)])[1].total


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
    compared = compare(contenders, images, options.batch, options.threads, options.rounds, options.calls)
    sys.stdout.write(table(compared))


if __name__ == "__main__":
    main()
