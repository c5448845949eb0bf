from dataclasses import replace

from pipeline.label_records import LabelledClass, LabelRecord
from pipeline.report.collect import collect
from pipeline.report.methodology import (
    budget_table,
    class_split_table,
    definitions,
    gate_table,
    identity_table,
    machine_table,
    split_table,
)
from pipeline.training_records import EarlyStop, SeenImages, UsedLabels
from tests.pipeline.report.example_run import example_params
from tests.pipeline.report.reading import cell, cells
from tests.pipeline.report.variants import with_numbers


def test_machine(results):
    table = machine_table(results)
    assert cell(table, "Processor", "Which") == "Example CPU @ 2.40GHz, 2 cores, x86_64"
    assert cell(table, "Memory", "Which") == "8.1 GB"
    assert cell(table, "GPU", "Which") == "none"
    assert cell(table, "Libraries", "Which").startswith("mmdet 3.3.0, onnxruntime 1.31.0")


def test_pictures_without_boxes_are_no_split(results):
    heap = results.dataset.splits["test"].model_copy(update={"images": 1080, "boxes": 0})
    dataset = results.dataset.model_copy(update={"unlabelled": heap})
    table = split_table(replace(results, dataset=dataset))
    assert cells(table, "no split: pictures without boxes")[1:] == ["1,080", "–", "–", "–"]
    assert len(table.rows) == len(split_table(results).rows) + 1


def test_gpu_with_its_driver(results):
    gpu = {"gpu": "NVIDIA H100", "gpu_memory_bytes": 80_000_000_000, "driver": "570.1"}
    table = machine_table(replace(results, device=results.device.model_copy(update=gpu)))
    assert cell(table, "GPU", "Which") == "NVIDIA H100, 80.0 GB, driver 570.1"


def test_what_ships_is_said_with_all_that_chose_it(results):
    said = definitions(results)["What ships"]
    assert said.startswith("The fastest of the students’ 6 rungs that took turns whose mAP on 24 val images is within")
    assert said.endswith(
        "twin OpenVINO fp32 54.0; crosskd OpenVINO fp32 60.0; crosskd ONNX Runtime int8 60.0; "
        "crosskd ONNX Runtime fp32 60.0."
    )
    nothing = results.chosen.model_copy(update={"best": None, "candidates": [], "of_model": {}, "measured": []})
    assert "What ships" not in definitions(replace(results, chosen=nothing))


def test_splits(results):
    boxes = results.dataset.splits["test"].boxes
    assert cells(split_table(results), "test") == ["test", "24", str(boxes), "0", "0"]


def test_boxes_of_every_class(results):
    table = class_split_table(results)
    shown = [int(row.cells[1].replace(",", "")) for row in table.rows]
    assert [row.cells[0] for row in table.rows] == results.dataset.classes
    assert sum(shown) == results.dataset.splits["test"].boxes


def test_budget_and_a_fetched_teacher(results):
    table = budget_table(results)
    assert cells(table, "teacher")[1:3] == ["fetched", "–"]
    expected = ["1,100", "8", "6 min 43 s", "21.9", "bf16", "cpu", "1,100", "58.5", "1,904", "0", "1,200"]
    assert cells(table, "crosskd")[1:] == expected


def test_images_that_a_recipe_leaves_out_are_in_the_budget(results):
    left_out = {"filter_cfg.filter_empty_gt=True": 1100, "filter_cfg.min_size=32": 3}
    seen = SeenImages(seen=100, images=1200, left_out=left_out)
    for images, expected in (
        (seen, "100 of 1,200; left out: 1,100 by filter_cfg.filter_empty_gt=True, 3 by filter_cfg.min_size=32"),
        (None, "–"),
    ):
        models = [
            replace(model, training=model.training and model.training.model_copy(update={"images": images}))
            for model in results.models
        ]
        assert cell(budget_table(replace(results, models=models)), "crosskd", "images") == expected


def test_a_training_that_was_stopped_says_where_and_why(results):
    assert "Early stopping" not in definitions(results)
    stop = EarlyStop(patience=3, min_delta=0.5, iteration=333)
    early = {"iterations": 400, "planned_iterations": 1100, "stopped": stop}
    models = [
        replace(model, training=model.training.model_copy(update=early)) if model.name == "crosskd" else model
        for model in results.models
    ]
    stopped = replace(results, models=models)
    assert cell(budget_table(stopped), "crosskd", "iterations") == "400 of 1,100"
    assert cell(budget_table(stopped), "twin", "iterations") == "1,100"
    text = definitions(stopped)["Early stopping"]
    reason = "AP on the val split did not rise by 0.5 points in 3 validations"
    down = "of which those after 333 took the learning rate down to its end"
    assert text.startswith(f"crosskd after 400 of 1,100 iterations, {down}, as {reason}. So models here were not")


def test_pictures_without_boxes_are_told_with_what_labelled_them(results):
    assert "Pseudo-labels" not in definitions(results)
    classes = [
        LabelledClass(name="crown", threshold=0.412, boxes=7, uncertain=2),
        LabelledClass(name="blob", threshold=None, boxes=0, uncertain=9),
    ]
    labels = LabelRecord(by="teacher", flip=True, least_score=0.1, images=1080, classes=classes)
    used = {"pseudo_labels": UsedLabels(ratio=3.0, labels=labels)}
    models = [
        replace(model, training=model.training.model_copy(update=used)) if model.name == "crosskd" else model
        for model in results.models
    ]
    text = definitions(replace(results, models=models))["Pseudo-labels"]
    assert text.startswith(
        "crosskd learned from 1,080 pictures without boxes too, labelled by the teacher, which saw each mirrored too. "
        "So many of them came for each labelled picture, in as many iterations as without: crosskd 3"
    )
    assert "(crown: 0.412, blob: never)" in text


def test_identity(run):
    results = collect(example_params(export={"models": ["crosskd"]}), run)
    table = identity_table(results)
    assert cells(table, "crosskd") == [
        "crosskd",
        "configs/students/crosskd.py",
        "crosskd",
        "7a7a7a7a7a7a",
        "7b7b7b7b7b7b",
    ]
    assert cells(table, "twin")[-1] == "–"


def test_gates_show_the_number_that_came_closest(results):
    results = with_numbers(with_numbers(results, "twin", ap=31.4), "crosskd", ap=44.0)
    table = gate_table(results)
    assert cells(table, "teacher AP")[1] == "off"
    assert cells(table, "student AP")[1:] == ["≥ 10", "31.4 (twin)"]
    assert cells(table, "export: share of matched detections")[1] == "≥ 0.99"
    assert cells(table, "benchmark: mAP drop of fp32, points")[1:] == ["≤ 0.05", "0.003 (twin, OpenVINO fp32)"]
    assert cells(table, "benchmark: mAP drop of int8, points")[1:] == ["≤ 1", "0.42 (twin, ONNX Runtime int8)"]
    fastest = cells(table, "benchmark: p50 of the fastest rung in its own run, batch 1, ms")
    assert fastest[1:] == ["≤ 50", "15 (teacher, OpenVINO fp32)"]


def test_gates_without_a_measurement(run):
    results = collect(example_params(export={"models": ["crosskd"]}), run)
    results = with_numbers(with_numbers(results, "twin", ap=None), "crosskd", ap=None)
    assert cells(gate_table(results), "student AP")[2] == "–"


def test_definitions_state_the_settings(results):
    texts = definitions(results)
    assert "60 resamples with replacement (seed 0)" in texts["Interval"]
    assert "warm up in windows of 5 until" in texts["Own run"]
    assert "200 calls, or those of 2 s where that is fewer" in texts["Own run"]
    assert "Batch 1, 8, 32, every core" in texts["Own run"]
    assert "a multiply-add counts as two" in texts["FLOPs"]
