import shutil

import pytest

from pipeline.errors import PipelineError
from pipeline.layout import report_file
from pipeline.records import EvaluationRecord
from pipeline.report.collect import collect
from tests.pipeline.report.example_run import CROSSKD, TEACHER_MODEL, TWIN, example_params, write_run


@pytest.fixture
def own_run(run, tmp_path):
    """A copy of the run that a test may damage."""
    return shutil.copytree(run, tmp_path / "run")


def test_models_stand_in_the_order_teacher_baseline_students(run):
    results = collect(example_params(["crosskd", "twin"]), run)
    assert [model.name for model in results.models] == ["teacher", "twin", "crosskd"]
    assert [model.role for model in results.models] == ["teacher", "baseline", "student"]
    assert results.teacher.name == "teacher"
    assert results.baseline.name == "twin"
    assert [model.name for model in results.students] == ["crosskd"]


def test_the_main_model_is_the_student_with_the_highest_ap_and_never_the_baseline(tmp_path):
    weak, strong = CROSSKD, TWIN.__class__("better", "crosskd", 0.88, 1, 1, 1.0)
    params = example_params(["twin", "crosskd", "better"])
    write_run(tmp_path, params, (TEACHER_MODEL, TWIN, weak, strong))
    assert collect(params, tmp_path).main.name == "better"


def test_the_baseline_is_the_main_model_where_it_stands_alone(run):
    assert collect(example_params(["twin"]), run).main.name == "twin"


def test_without_the_baseline_every_student_is_a_student(run):
    results = collect(example_params(["crosskd"]), run)
    assert results.baseline is None
    assert results.main.name == "crosskd"


def test_a_fetched_teacher_has_no_training_record_and_a_model_that_is_not_exported_no_artefact(run):
    results = collect(example_params(export={"models": ["crosskd"]}), run)
    assert results.teacher.training is None
    assert results.teacher.export is None
    assert results.teacher.benchmark is None
    assert results.main.training.iterations == 1100
    assert results.main.export.opset == 18


@pytest.mark.parametrize(
    "file",
    [
        "reports/device.json",
        "data/prepared/dataset.json",
        "reports/evaluation/teacher.json",
        "reports/evaluation/crosskd.json",
        "models/twin/training.json",
        "reports/export/crosskd.json",
        "reports/benchmark/twin.json",
    ],
)
def test_a_missing_record_is_named_with_its_cure(own_run, file):
    (own_run / file).unlink()
    with pytest.raises(PipelineError, match="dvc repro") as error:
        collect(example_params(), own_run)
    assert file in str(error.value)


def test_a_record_of_another_shape_is_named(own_run):
    (own_run / "reports/export/twin.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PipelineError, match=r"reports/export/twin.json: not a ExportRecord"):
        collect(example_params(), own_run)


def test_numbers_from_another_split_are_refused(own_run):
    file = own_run / report_file("evaluation", "crosskd")
    record = EvaluationRecord.read(file)
    record.model_copy(update={"accuracy": record.accuracy.model_copy(update={"split": "val"})}).write(file)
    with pytest.raises(PipelineError, match=r"crosskd.json: measured on digits \(val split, 24 images, \d+ boxes\)"):
        collect(example_params(), own_run)


def test_numbers_of_another_data_set_are_refused(own_run):
    file = own_run / report_file("evaluation", "teacher")
    EvaluationRecord.read(file).model_copy(update={"dataset": "trees"}).write(file)
    with pytest.raises(PipelineError, match=r"teacher.json: measured on trees \(test split\).*holds digits"):
        collect(example_params(), own_run)
