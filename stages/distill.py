"""Distil one student from the accepted teacher."""

import argparse
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.launcher import launch
from pipeline.settings import HARMLESS, TRAINING, load_params
from pipeline.student import distil_student

PARAMS = TRAINING
UNTRACKED = ("students", *HARMLESS)  # students: which names there are


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``models/<student>/weights.safetensors`` and ``training.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.distill", description=__doc__)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    arguments = parser.parse_args(argv)
    params = load_params().only(*PARAMS, *UNTRACKED)
    launch(params.train, distil_student, params, arguments.student)


if __name__ == "__main__":
    main()
