"""Train one twin: a student without distillation, which the distilled ones are compared with."""

import argparse
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.launcher import launch
from pipeline.settings import HARMLESS, TRAINING, load_params
from pipeline.student import train_twin

PARAMS = TRAINING
UNTRACKED = ("twins", *HARMLESS)  # twins: which names there are


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``models/<twin>/weights.safetensors`` and ``training.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.train", description=__doc__)
    parser.add_argument("--twin", required=True, help="a key of `twins` in params.yaml")
    arguments = parser.parse_args(argv)
    params = load_params().only(*PARAMS, *UNTRACKED)
    launch(params.train, train_twin, params, arguments.twin)


if __name__ == "__main__":
    main()
