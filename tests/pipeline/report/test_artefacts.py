from pipeline.report.artefacts import artefact_table, export_table, latency_table
from pipeline.report.collect import collect
from tests.pipeline.report.example_run import CUDA_REASON, example_params
from tests.pipeline.report.reading import cells
from tests.pipeline.report.variants import model_of


def test_every_model_under_every_backend(results):
    table = artefact_table(results)
    assert len(table.rows) == 9
    ap = model_of(results, "crosskd").evaluation.accuracy.numbers.ap
    expected = ["crosskd", "OpenVINO fp32", f"{ap:.1f}", "0.00", "2", "112.4", "311", "2026.4.0"]
    assert cells(table, "crosskd", "OpenVINO fp32") == expected


def test_a_backend_that_did_not_run_says_why(results):
    shown = cells(artefact_table(results), "twin", "ONNX Runtime CUDA")
    assert shown == ["twin", "ONNX Runtime CUDA", "–", "–", "–", "–", "–", f"not run: {CUDA_REASON}"]


def test_latency_is_split_by_batch_size(results):
    table = latency_table(results)
    assert len(table.rows) == 3 * 2 * 2
    found = cells(table, "crosskd", "ONNX Runtime fp32", "1")
    assert found[3:] == ["6.20", "6.94", "8.74", "0.37", "5.70", "0.37", "155"]
    assert cells(table, "crosskd", "ONNX Runtime fp32", "8")[3] == "40.9"


def test_export_check(results):
    expected = ["crosskd", "artefacts/crosskd.onnx", "6.13", "18", "32", "131", "100.00 %", "3.1e-05", "4.2e-07"]
    assert cells(export_table(results), "crosskd") == expected


def test_models_without_artefact_are_not_listed(run):
    results = collect(example_params(export={"models": ["crosskd"]}), run)
    for table in (artefact_table(results), latency_table(results), export_table(results)):
        assert {row.cells[0] for row in table.rows} == {"crosskd"}
