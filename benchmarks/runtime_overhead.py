"""What our backends cost beyond the runtimes themselves: a call through a backend beside the runtime's own tool.

    python -m benchmarks.runtime_overhead artefacts/crosskd.onnx artefacts/crosskd.int8.onnx
    python -m benchmarks.runtime_overhead artefacts/crosskd.onnx --threads 1 --rounds 9

OpenVINO's is its `benchmark_app` (synchronous, one stream, the same file, threads, image and precision), ONNX Runtime's
a bare loop over `session.run`. They take turns with the backend; printed are the medians of a call with a batch of one
and the ratio of ours to theirs over the rounds. The image is decoded and resized before, and boxes are not read after.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.runtime.artefact import ArtefactSpec, named_inputs, read_spec
from deploy.runtime.backends import Backend, open_backend, resolve_threads
from deploy.timing.turns import Ratio, times_as_fast

_MEDIAN = re.compile(r"Median:\s+([\d.]+) ms")
_WARM_UP = 10

Median = Callable[[], float]
"""Milliseconds of a call: the median of one turn."""


def median_of(call: Callable[[], object], seconds: float) -> float:
    """The median call of so many seconds, in milliseconds."""
    for _ in range(_WARM_UP):
        call()
    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or len(times) < _WARM_UP:
        start = perf_counter()
        call()
        times.append(1e3 * (perf_counter() - start))
    return statistics.median(times)


def benchmark_app(artefact: Path, image: Path, spec: ArtefactSpec, threads: int, seconds: float) -> float:
    """The median that OpenVINO's own tool tells of an artefact, in milliseconds."""
    command = [
        *("benchmark_app", "-m", str(artefact), "-i", str(image), "-d", "CPU", "-api", "sync", "-hint", "none"),
        *("-nstreams", "1", "-nthreads", str(threads), "-infer_precision", "f32", "-t", f"{max(1, round(seconds))}"),
        *("-shape", f"[1,{spec.input_height},{spec.input_width},3]", "-layout", "[NHWC]"),
    ]
    tool = Path(sys.executable).with_name(command[0])
    made = subprocess.run([str(tool), *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = _MEDIAN.search(made.stdout)
    if made.returncode or found is None:
        raise SystemExit(f"benchmark_app says no median of {artefact}:\n{made.stdout[-2000:]}")
    return float(found[1])


def pairs(
    artefact: Path, image: NDArray[np.uint8], file: Path, threads: int, seconds: float
) -> dict[str, list[Median]]:
    """By runtime: ours, theirs."""
    spec = read_spec(artefact)
    inputs = named_inputs(image[None], None)
    ours = {name: open_backend(name, artefact, spec, threads) for name in ("onnxruntime", "openvino")}
    session = _bare_session(artefact, threads)
    return {
        "onnxruntime": [
            lambda: median_of(lambda: _run(ours["onnxruntime"], image), seconds),
            lambda: median_of(lambda: session.run(None, inputs), seconds),
        ],
        "openvino": [
            lambda: median_of(lambda: _run(ours["openvino"], image), seconds),
            lambda: benchmark_app(artefact, file, spec, threads, seconds),
        ],
    }


def _run(backend: Backend, image: NDArray[np.uint8]) -> object:
    return backend.run(image[None])


def _bare_session(artefact: Path, threads: int):  # type: ignore[no-untyped-def]  # onnxruntime has no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(artefact), options, providers=["CPUExecutionProvider"])


def taken_in_turns(pair: list[Median], rounds: int) -> tuple[float, float, Ratio]:
    """Medians of ours and theirs, and theirs over ours of each round; every other round begins with theirs."""
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for place in (0, 1) if number % 2 else (1, 0):
            times[place].append(pair[place]())
    return statistics.median(times[0]), statistics.median(times[1]), times_as_fast(times[1], times[0])


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artefacts", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=0, help="of both; 0 is every core (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of a turn (%(default)s)")
    parser.add_argument("--image", type=Path, help="a picture (noise)")
    given = parser.parse_args()
    print("| artefact | runtime | ours, ms | theirs, ms | ours / theirs | quartiles |\n|---|---|---|---|---|---|")
    for artefact in given.artefacts:
        spec = read_spec(artefact)
        size = (spec.input_width, spec.input_height)
        picture = (
            cv2.imread(str(given.image)) if given.image else np.random.default_rng(0).integers(0, 256, (64, 64, 3))
        )
        image = np.asarray(cv2.resize(np.asarray(picture, np.uint8), size), np.uint8)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "image.png"
            cv2.imwrite(str(file), image)
            found = pairs(artefact, image, file, resolve_threads(given.threads), given.seconds)
            for runtime, pair in found.items():
                ours, theirs, ratio = taken_in_turns(pair, given.rounds)
                spread = f"{ratio.low:.3f} to {ratio.high:.3f}"
                print(
                    f"| {artefact} | {runtime} | {ours:.2f} | {theirs:.2f} | {ratio.median:.3f} | {spread} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
