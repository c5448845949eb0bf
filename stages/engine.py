"""Build TensorRT engines of a model's artefacts for the GPU that is here, or say why there are none."""

import argparse
from collections.abc import Sequence

from deploy.engines.engine import PRECISIONS, build_engines
from pipeline.cli import stage_main
from pipeline.layout import TIMING_CACHES, artefact_file, engine_dir, report_file
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = ("engine",)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``artefacts/engines/<model>/`` and ``reports/engine/<model>.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.engine", description=__doc__)
    parser.add_argument("--model", required=True, help="a student of params.yaml, or 'teacher'")
    model = parser.parse_args(argv).model
    record = build_engines(
        model,
        graphs=[artefact_file(model, precision) for precision in PRECISIONS],
        settings=load_params().only(*PARAMS).engine,
        folder=engine_dir(model),
        timing_caches=TIMING_CACHES,
    )
    record.write(report_file("engine", model))


if __name__ == "__main__":
    main()
