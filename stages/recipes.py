"""Resolve the teacher's configuration and every student's recipe for the prepared data set, and build each once."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from deploy.graph.dry_run import dry_run
from pipeline.cli import stage_main
from pipeline.layout import DATASET_RECORD, RECIPES
from pipeline.one_at_a_time import one_at_a_time
from pipeline.recipes import resolve_all
from pipeline.records import DatasetRecord
from pipeline.settings import load_params

PARAMS = (
    *("input_size", "teacher.config", "teacher.options", "teacher.train", "teacher.init", "twins", "students"),
    *("train.epochs", "train.iterations", "train.batch_size", "train.learning_rate"),
    *("label.labelled", "export.dynamic_size", "export.opset", "export.models"),
)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``build/recipes/<model>.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.recipes", description=__doc__)
    parser.add_argument("--out", type=Path, default=RECIPES, help="folder for the resolved recipes (%(default)s)")
    arguments = parser.parse_args(argv)
    params = load_params().only(*PARAMS)
    export = params.export
    accept = partial(dry_run, dynamic_size=export.dynamic_size, exported=export.models, opset=export.opset)
    resolve_all(params, DatasetRecord.read(DATASET_RECORD), arguments.out, accept)


if __name__ == "__main__":
    main()
