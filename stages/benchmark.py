"""Measure every artefact of a model: its own accuracy and latency under every backend that takes it."""

import argparse
from collections.abc import Sequence

from deploy.ladder.benchmark import benchmark, check_gates, read_reference
from pipeline.cli import stage_main
from pipeline.layout import DATASET, artefact_file, report_file
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = ("benchmark", "gates.benchmark_max_map_drop", "gates.benchmark_max_latency_ms")


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/benchmark/<model>.json``, then check the gates."""
    parser = argparse.ArgumentParser(prog="python -m stages.benchmark", description=__doc__)
    parser.add_argument("--model", required=True, help="a student of params.yaml, or 'teacher'")
    model = parser.parse_args(argv).model
    params = load_params().only(*PARAMS)
    record = benchmark(
        model,
        artefacts={precision: artefact_file(model, precision) for precision in params.benchmark.precisions},
        dataset_dir=DATASET,
        torch=read_reference(report_file("evaluation", model), report_file("detections", model), DATASET),
        settings=params.benchmark,
    )
    record.write(report_file("benchmark", model))
    check_gates(record, params.gates)


if __name__ == "__main__":
    main()
