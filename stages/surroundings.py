"""Look at what no file of the project tells: the machine, and which files the data set is made from.

Runs every time, so that another machine and a change of the data are noticed wherever they are. One stage, as DVC
writes its lock anew after every stage that runs, which takes a second where nothing changed.
"""

import argparse
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.datasets.source_files import find_source_files
from pipeline.device import describe_device
from pipeline.layout import DEVICE, SOURCE_FILES
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = ()
UNTRACKED = ("data",)  # read every time


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/device.json`` and ``build/source_files.json``."""
    argparse.ArgumentParser(prog="python -m stages.surroundings", description=__doc__).parse_args(argv)
    describe_device().write(DEVICE)
    find_source_files(load_params().only(*PARAMS, *UNTRACKED).data).write(SOURCE_FILES)


if __name__ == "__main__":
    main()
