"""Measure an artefact: its own accuracy and its latency under every requested backend."""

import argparse
from collections.abc import Sequence

from deploy.ladder import benchmark, check_gates
from pipeline.cli import stage_main
from pipeline.layout import DATASET, artefact_file, report_file
from pipeline.records import EvaluationRecord
from pipeline.settings import load_params


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/benchmark/<model>.json``, then check the gates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a student of params.yaml, or 'teacher'")
    model = parser.parse_args(argv).model
    params = load_params()
    record = benchmark(
        model,
        artefact=artefact_file(model),
        dataset_dir=DATASET,
        split=params.evaluate.split,
        torch=EvaluationRecord.read(report_file("evaluation", model)),
        settings=params.benchmark,
    )
    record.write(report_file("benchmark", model))
    check_gates(record, params.gates)


if __name__ == "__main__":
    main()
