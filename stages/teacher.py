"""Fetch the teacher's weights, or train them where none are published for the data set."""

import argparse
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.settings import HARMLESS, TRAINING, load_params
from pipeline.teacher import provide_teacher

PARAMS = ("teacher.source", "teacher.checkpoints", "data.name", *TRAINING)
UNTRACKED = HARMLESS


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``models/teacher/weights.safetensors`` (and ``training.json`` when trained here)."""
    parser = argparse.ArgumentParser(prog="python -m stages.teacher", description=__doc__)
    parser.add_argument("--source", choices=["auto", "fetch", "train"], help="override `teacher.source` of params.yaml")
    arguments = parser.parse_args(argv)
    params = load_params().only(*PARAMS, *UNTRACKED)
    provide_teacher(params, arguments.source or params.teacher.source)


if __name__ == "__main__":
    main()
