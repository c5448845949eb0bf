"""Join every record of the run into one report."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import stage_main
from pipeline.code_version import code_version
from pipeline.layout import REPORTS
from pipeline.one_at_a_time import one_at_a_time
from pipeline.report.render import write_report
from pipeline.settings import PARAMS_FILE, load_params

PARAMS = ("report", "gates", "twins", "students", "export.models", "evaluate", "benchmark")

logger = logging.getLogger(__name__)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/report.md``, ``report.html``, ``figures/``, ``cards/`` and ``metrics.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.report", description=__doc__)
    parser.add_argument("--params", type=Path, default=PARAMS_FILE, help="settings file (default: %(default)s)")
    arguments = parser.parse_args(argv)
    first = write_report(load_params(arguments.params).only(*PARAMS), code=code_version())
    logger.info("%s", first)
    logger.info("report: %s", REPORTS / "report.html")


if __name__ == "__main__":
    main()
