"""Speed of every precision beside PyTorch eager fp32: one process, the same threads and images, alternating order.

After the stages export and precision, or with random weights:

    python -m benchmarks.precision_speed crosskd
    python -m benchmarks.precision_speed configs/students/twin_gfl_r18_1x_coco.py --size 320

Each round runs a few calls of each rung in turn, so that a machine that slows down slows all of them; printed are the
medians of a call with a batch of one, decoding of the file left out, their ratio to PyTorch's, and the spread of that
ratio over the rounds.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
from numpy.typing import NDArray

from benchmarks.random_artefacts import Artefacts, make_artefacts
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.runtime.artefact import read_spec
from deploy.runtime.backends import BACKENDS, Backend, open_backend, resolve_threads
from deploy.runtime.errors import BackendUnavailable
from deploy.runtime.images import read_image
from deploy.runtime.preprocess import graph_inputs
from deploy.timing.turns import Turn, take_turns, times_as_fast
from pipeline.checkpoints import load_detector
from pipeline.datasets.prepared import find_split
from pipeline.layout import DATASET, artefact_file, recipe_file, weights_file
from pipeline.recipes import load_resolved

PRECISIONS = ("fp32", "fp16", "int8", "int8_symmetric")
WARM_UP = 2


def trained_artefacts(model: str) -> Artefacts:
    """What the stages made of a model of ``params.yaml``."""
    spec = read_spec(artefact_file(model))
    stock = load_detector(load_resolved(recipe_file(model)), weights_file(model))
    files = {precision: artefact_file(model, precision) for precision in PRECISIONS}
    return Artefacts(DeployableDetector(stock, spec), files, spec)


def rungs(artefacts: Artefacts, threads: int) -> dict[str, Backend]:
    """PyTorch and every artefact under every backend that runs here."""
    torch.set_num_threads(threads)
    found: dict[str, Backend] = {"pytorch eager fp32": PytorchBackend(artefacts.detector)}
    for precision, path in artefacts.files.items():
        own = read_spec(path)
        for name, entry in BACKENDS.items():
            try:
                if entry.takes(precision):
                    found[f"{name} {precision}"] = open_backend(name, path, own, threads)
            except BackendUnavailable as error:
                print(f"not run: {error}")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.precision_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a student of params.yaml, 'teacher', or a recipe's file (random weights)")
    parser.add_argument("--size", type=int, default=320, help="pixels a side, for a recipe's file (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="of every rung; 0 is every core (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each rung (%(default)s)")
    parser.add_argument("--calls", type=int, default=8, help="measured calls in a turn (%(default)s)")
    parser.add_argument("--cpu-time", action="store_true", help="not the clock's: for busy machines, with --threads 1")
    arguments = parser.parse_args()
    clock = process_time if arguments.cpu_time else perf_counter
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(arguments.model)
        is_file = recipe.suffix == ".py"
        found = make_artefacts(recipe, arguments.size, Path(folder)) if is_file else trained_artefacts(arguments.model)
        backends = rungs(found, resolve_threads(arguments.threads))
    annotations, image_root = find_split(DATASET, "val")
    names = [Path(image["file_name"]) for image in json.loads(annotations.read_text(encoding="utf-8"))["images"]]
    images = [read_image(image_root / name) for name in names[: arguments.calls]]
    inputs = [tuple(graph_inputs([image], found.spec).values()) for image in images]
    runs = {name: _call(backend, inputs, clock) for name, backend in backends.items()}
    medians = take_turns(runs, dict.fromkeys(runs, Turn(WARM_UP, arguments.calls)), arguments.rounds)
    eager = medians["pytorch eager fp32"]
    print(f"{'':32}{'ms':>8}{'times as fast':>15}{'quartiles':>18}")
    for name, values in medians.items():
        ratio = times_as_fast(values, eager)
        spread = f"{ratio.low:.2f} to {ratio.high:.2f}"
        print(f"{name:32}{statistics.median(values):8.2f}{ratio.median:15.2f}{spread:>18}")


def _call(
    backend: Backend, inputs: Sequence[tuple[NDArray[Any], ...]], clock: Callable[[], float]
) -> Callable[[int], float]:
    def call(number: int) -> float:
        start = clock()
        backend.run(*inputs[number % len(inputs)])
        return 1e3 * (clock() - start)

    return call


if __name__ == "__main__":
    main()
