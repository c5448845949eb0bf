from dataclasses import replace

from deploy.runtime.engine_file import Target
from pipeline.deploy_records import EngineBuild
from pipeline.report.artefacts import (
    engine_table,
    export_table,
    ladder_table,
    not_run_table,
    part_note,
    precision_table,
    rung_table,
    unbuilt_table,
)
from pipeline.report.collect import collect
from pipeline.report.methodology import gate_table
from tests.pipeline.report.example_run import CUDA_REASON, ENGINE_REASON, example_params
from tests.pipeline.report.reading import cells
from tests.pipeline.report.variants import model_of, with_runs

EXPORT_GATES = (
    "export: largest box difference, px",
    "export: largest score difference",
    "export: share of matched detections",
)


def test_the_ladder_starts_at_pytorch_and_shows_every_rung_that_ran(results):
    table = ladder_table(results)
    ap = model_of(results, "crosskd").evaluation.accuracy.numbers.ap
    assert [row.cells[1] for row in table.rows if row.cells[0] == "crosskd"] == [
        "PyTorch fp32",
        "ONNX Runtime fp32",
        "OpenVINO fp32",
        "ONNX Runtime int8",
    ]
    assert cells(table, "crosskd", "PyTorch fp32") == ["crosskd", "PyTorch fp32", f"{ap:.1f}", *["–"] * 7]
    expected = ["0.00", "−0.01 to 0.02", "4.77", "7: 0.01", "100.00 %", "0.99", "0.012"]
    assert cells(table, "crosskd", "OpenVINO fp32")[3:] == expected
    assert cells(table, "crosskd", "ONNX Runtime int8")[3:8] == ["0.42", "–", "6.14", "7: 1.90", "97.80 %"]


def test_numbers_of_a_part_of_the_split_say_so_and_have_their_intervals(results):
    assert part_note(results) == ""
    models = tuple(
        replace(model, benchmark=model.benchmark.model_copy(update={"images": 5, "torch_ap": 12.34}))
        if model.benchmark
        else model
        for model in results.models
    )
    part = replace(results, models=models)
    total = results.split.images
    assert f"on 5 of the {total} images of the split, evenly spaced" in part_note(part)
    table = ladder_table(part)
    assert [column.title for column in table.columns][2:5] == ["mAP", "its interval", "drop"]
    interval = model_of(results, "crosskd").evaluation.accuracy.bootstrap.interval
    shown = f"{interval.low:.1f} to {interval.high:.1f}"
    assert cells(table, "crosskd", "PyTorch fp32")[2:] == ["12.3", shown, *["–"] * 7]
    assert cells(table, "crosskd", "OpenVINO fp32")[3:5] == [shown, "0.00"]


def test_the_12_numbers_of_every_rung(results):
    table = rung_table(results)
    numbers = model_of(results, "twin").evaluation.accuracy.numbers
    assert len(table.rows) == 9
    shown = cells(table, "twin", "ONNX Runtime int8")
    assert (len(shown), shown[2], shown[3]) == (14, f"{numbers.ap:.1f}", f"{numbers.ap50:.1f}")


def test_a_backend_that_did_not_run_says_why(results):
    (only,) = not_run_table(results).rows
    assert only.cells == ("ONNX Runtime CUDA", "teacher, twin, crosskd", CUDA_REASON)
    assert not [row for row in ladder_table(results).rows if row.cells[1] == "ONNX Runtime CUDA"]


def test_how_the_precisions_were_made(results):
    table = precision_table(results)
    assert cells(table, "twin", "fp16") == ["twin", "fp16", "3.17", *["–"] * 5]
    expected = ["twin", "int8", "1.69", "128", "33 of 34", "1.30", "0.40", "bbox_head.gfl_reg"]
    assert cells(table, "twin", "int8") == expected


def test_why_there_is_no_engine_is_said_once(results):
    (only,) = unbuilt_table(results).rows
    assert only.cells == ("teacher, twin, crosskd", "fp32, fp16", ENGINE_REASON)
    assert not engine_table(results).rows


def test_an_engine_says_where_it_runs(results):
    model = model_of(results, "crosskd")
    built = EngineBuild(
        graph="artefacts/crosskd.fp16.onnx",
        graph_sha256="e" * 64,
        precision="fp16",
        status="built",
        reason="",
        file="artefacts/engines/crosskd/crosskd.fp16.engine",
        sha256="f" * 64,
        file_size=3_170_000,
        build_seconds=75.0,
    )
    target = {"gpu": "NVIDIA L4", "compute_capability": "8.9", "driver": "580.1", "tensorrt": "tensorrt 10.9"}
    engine = model.engine.model_copy(update={"engines": [built], "target": Target(**target)})
    models = tuple(replace(item, engine=engine if item is model else item.engine) for item in results.models)
    changed = replace(results, models=models)
    file = "artefacts/engines/crosskd/crosskd.fp16.engine"
    profiles = "1 to 1 (1), 1 to 32 (8)"
    (only,) = engine_table(changed).rows
    assert only.cells == ("crosskd", "fp16", file, "3.17", "1 min 15 s", profiles, "NVIDIA L4, tensorrt 10.9")
    assert unbuilt_table(changed).rows[0].cells[0] == "teacher, twin"


def test_export_check(results):
    expected = ["crosskd", "artefacts/crosskd.onnx", "6.13", "18", "32", "131", "100.00 %", "3.1e-05", "4.2e-07"]
    assert cells(export_table(results), "crosskd") == expected


def test_where_nothing_was_matched_nothing_is_claimed(results):
    nothing = {"detections": 0, "matched": None, "mean_iou": None}
    runs = [
        run.model_copy(update={"boxes": run.boxes.model_copy(update={**nothing, "mean_score_difference": None})})
        if run.boxes
        else run
        for run in model_of(results, "crosskd").benchmark.runs
    ]
    assert cells(ladder_table(with_runs(results, "crosskd", runs)), "crosskd", "OpenVINO fp32")[7:] == ["–"] * 3
    changes = {**nothing, "max_box_difference_px": None, "max_score_difference": None}
    models = tuple(
        replace(model, export=model.export.model_copy(update={"check": model.export.check.model_copy(update=changes)}))
        for model in results.models
    )
    empty = replace(results, models=models)
    assert cells(export_table(empty), "crosskd")[5:] == ["0", "–", "–", "–"]
    gates = gate_table(empty)
    assert [cells(gates, title)[2] for title in EXPORT_GATES] == ["–"] * 3


def test_models_without_artefact_are_not_listed(run):
    results = collect(example_params(export={"models": ["crosskd"]}), run)
    for make in (ladder_table, rung_table, precision_table, unbuilt_table, export_table):
        assert {row.cells[0] for row in make(results).rows} == {"crosskd"}
