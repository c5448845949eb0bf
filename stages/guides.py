"""Say which teacher every student learns from, so that the twin's training depends on none."""

import argparse
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.guides import write_guides
from pipeline.settings import load_params

PARAMS = ()
UNTRACKED = ("students",)  # which names there are; their recipes are dependencies


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``build/guides/<student>.json``."""
    argparse.ArgumentParser(prog="python -m stages.guides", description=__doc__).parse_args(argv)
    write_guides(load_params().only(*PARAMS, *UNTRACKED).students)


if __name__ == "__main__":
    main()
