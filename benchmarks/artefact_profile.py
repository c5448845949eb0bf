"""What each part of an artefact costs on a CPU: the runtimes' own times of their operators, by place and by kind.

    python -m benchmarks.artefact_profile artefacts/crosskd.onnx artefacts/crosskd.int8.onnx
    python -m benchmarks.artefact_profile artefacts/crosskd.onnx --backends openvino-bf16 --top 15

The place is the part of the detector that a node's weights belong to; a node without weights counts to the place of
its first input. A runtime fuses nodes and adds ones of its own: reorders between layouts, conversions of precision.
Those whose name tells no node of the file stand under `(runtime's own)`.

Both runtimes take the times themselves, which costs time: the sum is longer than a call. A call as users make it
stands above each table. One image a call, noise; boxes of NMS are few, as on a picture without objects.
"""

import argparse
import json
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.runtime_overhead import median_of
from deploy.runtime.artefact import ArtefactSpec, named_inputs, read_spec
from deploy.runtime.backends import open_backend, resolve_threads

BACKENDS = ("onnxruntime", "openvino", "openvino-bf16")
OWN = "(runtime's own)"
_PLACES = ("backbone", "neck", "head", "rpn_head", "roi_head")
_SECONDS = 2.0
_WARM_UP = 5


@dataclass(frozen=True)
class Cost:
    """One operator of a compiled graph: the name and kind that the runtime gives it, and milliseconds of a call."""

    name: str
    kind: str
    ms: float


def places_of(graph: onnx.GraphProto) -> dict[str, str]:
    """The place of every node, by its name and those of its outputs, after which ONNX Runtime names fused ones.

    It is that of its own weights, or else of its first input that has one.
    """
    of_value = {weight.name: place for weight in graph.initializer if (place := _named_place(weight.name))}
    of_node: dict[str, str] = {}
    for node in graph.node:
        known = [place for value in node.input if (place := of_value.get(value))]
        weights = [place for value in node.input if (place := _named_place(value))]
        place = (weights or known or ["input"])[0]
        of_node[node.name] = place
        of_value |= dict.fromkeys(node.output, place)
    return of_value | of_node


def _named_place(weight: str) -> str | None:
    return next((part for part in weight.split(".") if part in _PLACES), None)


def place_of(name: str, places: Mapping[str, str]) -> str:
    """The place of a runtime's operator: of the node that it is named after, whatever is added behind the name."""
    if name in places:
        return places[name]
    named = [known for known in places if known and name.startswith(known) and not name[len(known)].isalnum()]
    return places[max(named, key=len)] if named else OWN


def costs_of_onnxruntime(artefact: Path, inputs: Mapping[str, NDArray[np.generic]], threads: int) -> list[Cost]:
    """Kernel times from ONNX Runtime's profile, the median over calls."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(artefact), options, providers=["CPUExecutionProvider"])
        median_of(lambda: session.run(None, inputs), _SECONDS)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]].append(event["dur"] / 1e3)
    return _medians(times)


def costs_of_openvino(
    artefact: Path, inputs: Mapping[str, NDArray[np.generic]], threads: int, precision: str
) -> list[Cost]:
    """Times of OpenVINO's performance counters for one image of known shape, the median over calls."""
    import openvino

    core = openvino.Core()
    model = core.read_model(str(artefact))
    model.reshape({name: values.shape for name, values in inputs.items()})
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "PERF_COUNT": True,
    }
    request = core.compile_model(model, "CPU", config).create_infer_request()
    times: dict[tuple[str, str], list[float]] = defaultdict(list)

    def call() -> None:
        request.infer(dict(inputs))
        for info in request.profiling_info:
            if info.status == openvino.ProfilingInfo.Status.EXECUTED:
                kind = f"{info.node_type} {info.exec_type}"
                times[info.node_name, kind].append(info.real_time.total_seconds() * 1e3)

    median_of(call, _SECONDS)
    return _medians(times)


def _medians(times: Mapping[tuple[str, str], list[float]]) -> list[Cost]:
    """Without the first calls, and what runs in them alone."""
    return [Cost(*key, statistics.median(found[_WARM_UP:])) for key, found in times.items() if len(found) > _WARM_UP]


def costs_of(backend: str, artefact: Path, spec: ArtefactSpec, threads: int) -> tuple[float, list[Cost]]:
    """Milliseconds of a plain call through the backend, and what its operators take."""
    image = np.random.default_rng(0).integers(0, 256, (1, spec.input_height, spec.input_width, 3), dtype=np.uint8)
    sizes = np.array([image.shape[1:3]], np.int64) if spec.dynamic_size else None
    plain = open_backend(backend, artefact, spec, threads)
    whole = median_of(lambda: plain.run(image, sizes), _SECONDS)
    plain.close()
    inputs = named_inputs(image, sizes)
    if backend == "onnxruntime":
        return whole, costs_of_onnxruntime(artefact, inputs, threads)
    return whole, costs_of_openvino(artefact, inputs, threads, "bf16" if backend == "openvino-bf16" else "f32")


def table(costs: Iterable[Cost], places: Mapping[str, str], top: int) -> str:
    """A Markdown table of the dearest pairs of place and kind."""
    sums: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    for cost in costs:
        key = place_of(cost.name, places), cost.kind
        sums[key] += cost.ms  # type: ignore[assignment]  # a Counter adds up any number
        counts[key] += 1
    whole = sum(sums.values())
    lines = ["| place | operator | number | ms | share |", "|---|---|---|---|---|"]
    for (place, kind), ms in sums.most_common(top):
        lines.append(f"| {place} | {kind} | {counts[place, kind]} | {ms:.3f} | {ms / whole:.0%} |")
    rest = whole - sum(ms for _, ms in sums.most_common(top))
    lines.append(f"| | the rest | | {rest:.3f} | {rest / whole:.0%} |\n| | all | | {whole:.3f} | |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print a table for each artefact and backend."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.artefact_profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artefacts", nargs="+", type=Path)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS[:2])
    parser.add_argument("--threads", type=int, default=0, help="0 is every core (%(default)s)")
    parser.add_argument("--top", type=int, default=12, help="rows of a table (%(default)s)")
    given = parser.parse_args()
    for artefact in given.artefacts:
        places = places_of(onnx.load(artefact).graph)
        for backend in given.backends:
            whole, costs = costs_of(backend, artefact, read_spec(artefact), resolve_threads(given.threads))
            print(f"\n{artefact}, {backend}: {whole:.2f} ms a call\n\n{table(costs, places, given.top)}", flush=True)


if __name__ == "__main__":
    main()
