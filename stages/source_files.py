"""Look which files the data set is made from; runs every time, so that a change is noticed wherever they are."""

import argparse
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.datasets.source_files import find_source_files
from pipeline.layout import SOURCE_FILES
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = ()
UNTRACKED = ("data",)  # read every time


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``build/source_files.json``."""
    argparse.ArgumentParser(prog="python -m stages.source_files", description=__doc__).parse_args(argv)
    find_source_files(load_params().only(*PARAMS, *UNTRACKED).data).write(SOURCE_FILES)


if __name__ == "__main__":
    main()
