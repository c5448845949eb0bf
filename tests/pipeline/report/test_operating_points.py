from pipeline.report.operating_points import class_score_table
from tests.pipeline.report.example_run import CLASSES
from tests.pipeline.report.reading import cells


def test_every_class_has_a_row_of_every_model(results):
    table = class_score_table(results)
    models = [model.name for model in results.models]
    assert [item.cells[:2] for item in table.rows] == [(name, model) for name in CLASSES for model in models]
    for model in results.models:
        found = model.point.classes[3]
        scores = [found.best_score, found.measured.precision, found.measured.recall, found.measured.f1]
        assert cells(table, "3", model.name)[2:] == [f"{value:.2f}" for value in scores]
