"""Make fp16 and int8 artefacts from an exported one."""

import argparse
from collections.abc import Sequence

from deploy.precision.precisions import make_precisions
from pipeline.cli import stage_main
from pipeline.layout import DATASET, artefact_file, report_file
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = ("precision",)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``artefacts/<model>.<precision>.onnx`` and ``reports/precision/<model>.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.precision", description=__doc__)
    parser.add_argument("--model", required=True, help="a student of params.yaml, or 'teacher'")
    model = parser.parse_args(argv).model
    record = make_precisions(artefact_file(model), DATASET, load_params().only(*PARAMS).precision)
    record.write(report_file("precision", model))


if __name__ == "__main__":
    main()
