"""Measure the accuracy of a trained detector."""

import argparse
from collections.abc import Sequence

from deploy.ladder.pytorch_rung import ScoreFiles, check_gates, evaluate_model
from pipeline.cli import stage_main
from pipeline.layout import DATASET, TEACHER, accepted_file, recipe_file, report_file, weights_file
from pipeline.one_at_a_time import one_at_a_time
from pipeline.recipes import load_resolved
from pipeline.settings import load_params
from pipeline.storage import write_atomic

PARAMS = (
    "evaluate",
    "train.device",
    "export.dynamic_size",
    "export.score_threshold",
    "export.nms_iou_threshold",
    "export.max_candidates",
    "export.max_detections",
)
OF_TEACHER = (*PARAMS, "gates.teacher_min_ap", "teacher.source", "teacher.published_ap", "data.name")
OF_STUDENT = (*PARAMS, "gates.student_min_ap")


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``reports/{evaluation,operating_point,errors,detections}/<model>.json``, then check the gates."""
    every = load_params()
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description=__doc__)
    parser.add_argument("--model", required=True, choices=[TEACHER, *every.trained])
    model = parser.parse_args(argv).model
    params = every.only(*(OF_TEACHER if model == TEACHER else OF_STUDENT))
    record = evaluate_model(
        load_resolved(recipe_file(model)),
        weights_file(model),
        DATASET,
        params,
        detections=report_file("detections", model),
        scores=ScoreFiles(report_file("operating_point", model), report_file("errors", model)),
    )
    record.write(report_file("evaluation", model))
    check_gates(record, params.gates)
    if model == TEACHER:
        write_atomic(accepted_file(TEACHER), record.weights_sha256 + "\n")


if __name__ == "__main__":
    main()
