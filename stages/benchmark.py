"""Measure an artefact: its own accuracy and its latency under every requested backend."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from deploy.ladder import benchmark, check_gates
from pipeline.cli import stage_main
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
        artefact=Path("artefacts", f"{model}.onnx"),
        dataset_dir=Path("data/prepared"),
        split=params.evaluate.split,
        torch=EvaluationRecord.read(Path("reports/evaluation", f"{model}.json")),
        settings=params.benchmark,
    )
    record.write(Path("reports/benchmark", f"{model}.json"))
    check_gates(record, params.gates)


if __name__ == "__main__":
    main()
