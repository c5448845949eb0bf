"""Choose what ships: the fastest artefact that loses little AP on the val split."""

import argparse
from collections.abc import Sequence

from deploy.ladder.choosing import choose_artefacts
from pipeline.cli import stage_main
from pipeline.deploy_records import BenchmarkRecord, ComparisonRecord
from pipeline.layout import CHOSEN, COMPARISON, DATASET, report_file
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = (
    "report.max_ap_loss",
    "export.models",
    "benchmark.threads",
    "benchmark.pin",
    "benchmark.accuracy_images",
    "evaluate.split",
)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/chosen.json``."""
    argparse.ArgumentParser(prog="python -m stages.choose", description=__doc__).parse_args(argv)
    params = load_params().only(*PARAMS)
    chosen = choose_artefacts(
        ComparisonRecord.read(COMPARISON),
        [BenchmarkRecord.read(report_file("benchmark", model)) for model in params.export.models],
        DATASET,
        params.evaluate.split,
        params.benchmark,
        params.report.max_ap_loss,
    )
    chosen.write(CHOSEN)


if __name__ == "__main__":
    main()
