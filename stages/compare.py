"""Let every rung of every model take turns in one run: times that may stand side by side."""

import argparse
from collections.abc import Sequence

from deploy.ladder.side_by_side import compare_rungs
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
    argparse.ArgumentParser(prog="python -m stages.compare", description=__doc__).parse_args(argv)
    params = load_params().only(*PARAMS)
    records = [BenchmarkRecord.read(report_file("benchmark", model)) for model in params.export.models]
    comparison = compare_rungs(records, DATASET, params.evaluate.split, params.benchmark, params.compare)
    comparison.write(COMPARISON)


if __name__ == "__main__":
    main()
