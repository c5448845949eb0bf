"""Time of NMS alone, as it is inside the artefacts: the standard ONNX operator and the portable form.

Greedy NMS of random candidates and the choice of the best K, batch 1, under each CPU backend; the forms take turns.

    python -m benchmarks.nms
    python -m benchmarks.nms --candidates 1000 --classes 10
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deploy.graph.nms import nms_keep, nms_keep_in_passes, take_boxes, top_candidates
from deploy.graph.onnx_export import to_onnx
from deploy.runtime.backends import resolve_threads
from deploy.timing.turns import Turn, take_turns

WARM_UP, ROUNDS, CALLS = 3, 15, 20
Inputs = dict[str, NDArray[Any]]


class Suppression(nn.Module):
    """NMS and the best ``kept`` of boxes [N, M, 4], scores [N, M] and labels [N, M]; 0 passes: the ONNX operator."""

    def __init__(self, classes: int, kept: int, passes: int) -> None:
        super().__init__()
        self.classes, self.kept, self.passes = classes, kept, passes

    def forward(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        keep = (
            nms_keep_in_passes(boxes, scores, labels, 0.6, self.passes)
            if self.passes
            else nms_keep(boxes, scores, labels, self.classes, 0.6)
        )
        best, order = top_candidates(scores * keep, self.kept)
        return take_boxes(boxes, order), best


def candidates(count: int, classes: int) -> Inputs:
    """Boxes in clusters, so that there is something to suppress, by falling score."""
    random = np.random.default_rng(0)
    centres = random.uniform(40, 280, (count // 6 + 1, 2))[random.integers(count // 6 + 1, size=count)]
    corner = centres + random.normal(0, 4, (count, 2)) - 20
    boxes = np.concatenate([corner, corner + random.uniform(36, 44, (count, 2))], axis=1)
    return {
        "boxes": boxes[None].astype(np.float32),
        "scores": -np.sort(-random.uniform(0.05, 1, (1, count))).astype(np.float32),
        "labels": random.integers(classes, size=(1, count)),
    }


def export(module: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write the graph of ``module``."""
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    onnx.save(to_onnx(module, tensors, None, {name: {} for name in tensors}, opset=18), path)


def backends(path: Path, inputs: Inputs, threads: int) -> dict[str, Callable[[int], float]]:
    """Each gives the milliseconds of a call."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_NUM_THREADS": threads})
    request = compiled.create_infer_request()
    runs: dict[str, Callable[[], object]] = {
        "onnxruntime": lambda: session.run(None, inputs),
        "openvino": lambda: request.infer(inputs),
    }
    return {name: _timed(run) for name, run in runs.items()}


def _timed(run: Callable[[], object]) -> Callable[[int], float]:
    def call(number: int) -> float:
        del number
        start = perf_counter()
        run()
        return 1e3 * (perf_counter() - start)

    return call


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nms", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=300, help="boxes before NMS (%(default)s)")
    parser.add_argument("--kept", type=int, default=100, help="boxes after it, at most (%(default)s)")
    parser.add_argument("--classes", type=int, default=80, help="(%(default)s)")
    parser.add_argument("--passes", type=int, default=16, help="of the portable form (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="0 is every core (%(default)s)")
    arguments = parser.parse_args()
    inputs, threads = candidates(arguments.candidates, arguments.classes), resolve_threads(arguments.threads)
    runs: dict[str, Callable[[int], float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form, passes in (("standard", 0), ("portable", arguments.passes)):
            path = Path(folder, f"{form}.onnx")
            export(Suppression(arguments.classes, arguments.kept, passes), inputs, path)
            runs |= {f"{form} | {name}": run for name, run in backends(path, inputs, threads).items()}
    times = take_turns(runs, dict.fromkeys(runs, Turn(WARM_UP, CALLS)), ROUNDS)
    print(f"{arguments.candidates} candidates, {arguments.classes} classes, K {arguments.kept}, {threads} threads\n")
    print("| form | backend | ms |\n|---|---|---|")
    for name, medians in times.items():
        print(f"| {name} | {statistics.median(medians):.2f} |")


if __name__ == "__main__":
    main()
