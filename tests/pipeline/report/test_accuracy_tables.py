from pipeline.report.accuracy_tables import class_table, coco_table
from pipeline.report.collect import collect
from tests.pipeline.report.example_run import example_params
from tests.pipeline.report.reading import cell
from tests.pipeline.report.variants import model_of, with_accuracy, with_numbers


def test_the_12_coco_numbers(results):
    numbers = model_of(results, "crosskd").evaluation.accuracy.numbers
    table = coco_table(results)
    assert len(table.rows) == len(type(numbers).model_fields) == 12
    shown = [row.cells[-1] for row in table.rows]
    expected = [getattr(numbers, field) for field in type(numbers).model_fields]
    assert shown == ["–" if value is None else f"{value:.1f}" for value in expected]
    assert "–" in shown  # the example has no large boxes
    assert all(abs(float(text) - value) <= 0.05 for text, value in zip(shown, expected, strict=True) if text != "–")


def test_a_null_number_is_a_dash(results):
    assert cell(coco_table(with_numbers(results, "twin", ap_large=None)), "AP large", "twin") == "–"


def test_ap_of_every_class_and_the_gain_over_the_twin(results):
    twin, student = (model_of(results, name).evaluation.accuracy.classes for name in ("twin", "crosskd"))
    results = with_accuracy(results, "twin", classes=[twin[0].model_copy(update={"ap": 41.26}), *twin[1:]])
    results = with_accuracy(results, "crosskd", classes=[student[0].model_copy(update={"ap": 43.04}), *student[1:]])
    table = class_table(results)
    assert [row.cells[0] for row in table.rows] == list("0123456789")
    assert cell(table, "0", "boxes") == str(student[0].boxes)
    assert [cell(table, "0", title) for title in ("twin", "crosskd", "crosskd − twin")] == ["41.3", "43.0", "+1.8"]


def test_a_class_without_boxes_and_a_class_that_one_model_lacks_are_dashes(results):
    classes = model_of(results, "crosskd").evaluation.accuracy.classes
    table = class_table(
        with_accuracy(results, "crosskd", classes=[classes[0].model_copy(update={"ap": None}), *classes[2:]])
    )
    for name in ("0", "1"):
        assert cell(table, name, "crosskd") == "–"
        assert cell(table, name, "crosskd − twin") == "–"


def test_no_gain_column_without_a_baseline_or_without_a_student(run):
    for students in (["crosskd"], ["twin"]):
        titles = [column.title for column in class_table(collect(example_params(students), run)).columns]
        assert titles == ["Class", "boxes", "teacher", *students]
