"""Describe the machine that the benchmarks run on."""

import argparse
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.device import describe_device
from pipeline.layout import REPORTS
from pipeline.one_at_a_time import one_at_a_time


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/device.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.device", description=__doc__)
    parser.parse_args(argv)
    describe_device().write(REPORTS / "device.json")


if __name__ == "__main__":
    main()
