"""Let the fastest artefact of every model take turns in one run: how many times as fast as the teacher's each is."""

import argparse
from collections.abc import Sequence

from deploy.ladder.fastest import compare_models
from pipeline.cli import stage_main
from pipeline.deploy_records import BenchmarkRecord
from pipeline.layout import COMPARISON, DATASET, report_file
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = (
    "compare",
    "export.models",
    "benchmark.batch_sizes",
    "benchmark.threads",
    "benchmark.pin",
    "evaluate.split",
)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/comparison.json``."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params = load_params().only(*PARAMS)
    records = [BenchmarkRecord.read(report_file("benchmark", model)) for model in params.export.models]
    comparison = compare_models(records, DATASET, params.evaluate.split, params.benchmark, params.compare)
    comparison.write(COMPARISON)


if __name__ == "__main__":
    main()
