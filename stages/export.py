"""Export a trained detector to one ONNX file and compare it with PyTorch on real images."""

import argparse
from collections.abc import Sequence

from deploy.graph.export import check_gates, export_model
from pipeline.cli import stage_main
from pipeline.layout import DATASET, artefact_file, recipe_file, report_file, weights_file
from pipeline.one_at_a_time import one_at_a_time
from pipeline.operating_point_records import OperatingPoint
from pipeline.recipes import load_resolved
from pipeline.settings import load_params

PARAMS = (
    "evaluate.split",
    "export.opset",
    "export.dynamic_size",
    "export.score_threshold",
    "export.nms_iou_threshold",
    "export.max_candidates",
    "export.max_detections",
    "export.check_images",
    "gates.export_max_box_difference_px",
    "gates.export_max_score_difference",
    "gates.export_min_matched",
)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``artefacts/<model>.onnx`` and ``reports/export/<model>.json``, then check the gates."""
    parser = argparse.ArgumentParser(prog="python -m stages.export", description=__doc__)
    parser.add_argument("--model", required=True, help="a student of params.yaml, or 'teacher'")
    model = parser.parse_args(argv).model
    params = load_params().only(*PARAMS)
    record = export_model(
        recipe=load_resolved(recipe_file(model)),
        weights=weights_file(model),
        dataset_dir=DATASET,
        split=params.evaluate.split,
        settings=params.export,
        artefact=artefact_file(model),
        recommended_score=OperatingPoint.read(report_file("operating_point", model)).score,
    )
    record.write(report_file("export", model))
    check_gates(record, params.gates)


if __name__ == "__main__":
    main()
