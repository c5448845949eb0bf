from dataclasses import replace

import pytest

from deploy.runtime.measurements import GpuUse
from pipeline.report.chart_style import LIGHT, Look
from pipeline.report.latency_tables import (
    batch_alt,
    batch_chart,
    gpu_table,
    latency_table,
    noise_sentence,
    sweep_sentence,
    unmeasured_table,
)
from tests.pipeline.report.reading import cells
from tests.pipeline.report.variants import model_of, with_runs

GPU = GpuUse(
    memory_bytes=2_100_000_000, sm_clock_mhz=1980, memory_clock_mhz=None, power_w=350.4, energy_per_image_j=0.052
)


def with_latency(results, model: str, **changes):
    """Every measurement of one model changed."""
    runs = [
        run.model_copy(update={"latency": [replace(item, **changes) for item in run.latency]})
        for run in model_of(results, model).benchmark.runs
    ]
    return with_runs(results, model, runs)


def with_sweep(results, model: str, **changes):
    runs = model_of(results, model).benchmark.runs
    return with_runs(results, model, [runs[0].model_copy(update=changes), *runs[1:]])


def test_latency_is_split_by_batch_size_and_phase(results):
    table = latency_table(results)
    assert [column.title for column in table.columns] == [
        "Model", "Rung", "batch", "p50", "p90", "p95", "p99", "spread", "pre", "inference", "post", "decoding",
        "from files", "images/s",
    ]  # fmt: skip
    assert len(table.rows) == 3 * 3 * 2
    found = [text.replace("\u00a0", " ") for text in cells(table, "crosskd", "ONNX Runtime fp32", "1")]
    assert found[3:] == ["6.20", "6.94", "7.44", "8.74", "5 %", "0.37", "5.70", "0.37", "0.50", "6.95", "155"]
    assert cells(table, "crosskd", "ONNX Runtime fp32", "8")[3] == "40.9"


def test_copies_are_shown_where_there_are_any(results):
    table = latency_table(with_latency(results, "crosskd", host_to_device=0.25, device_to_host=0.125))
    assert [column.title for column in table.columns][8:13] == ["pre", "to device", "inference", "from device", "post"]
    assert cells(table, "crosskd", "ONNX Runtime fp32", "1")[8:13] == ["0.37", "0.25", "5.70", "0.12", "0.37"]
    assert cells(table, "twin", "ONNX Runtime fp32", "1")[9] == "0.00"


def test_what_percentiles_are_worth_is_shown_where_calls_are_enough(results):
    table = latency_table(with_latency(results, "crosskd", p90_bound=7.125))
    assert [column.title for column in table.columns][6:10] == ["p99", "p90 at most", "p99 at most", "spread"]
    assert cells(table, "crosskd", "ONNX Runtime fp32", "1")[7:9] == ["7.12", "–"]
    assert cells(table, "twin", "ONNX Runtime fp32", "1")[7:9] == ["–", "–"]


def test_noise_is_counted_and_marked(results):
    assert noise_sentence(results).startswith("No measurement is noisy")
    noisy = with_latency(results, "crosskd", spread=0.31, noisy=True)
    assert (
        noise_sentence(noisy)
        .replace("\u00a0", " ")
        .startswith("6 of 18 measurements are noisy (quartiles more than 20 % of the median apart)")
    )
    assert cells(latency_table(noisy), "crosskd", "OpenVINO fp32", "8")[7].replace("\u00a0", " ") == "31 % noisy"
    assert "noisy" not in cells(latency_table(noisy), "twin", "OpenVINO fp32", "8")[7]


def test_the_limit_that_ended_sweeps_is_said(results):
    assert sweep_sentence(results) == ""
    ended = with_sweep(results, "twin", sweep_end="time", sweep_reason="batch 8 took 1,200 ms")
    assert sweep_sentence(ended) == "Once a call takes longer than 1,000 ms, no larger batch is measured."
    assert unmeasured_table(ended).rows == ()


def test_what_had_no_room_and_a_gpu_that_was_not_watched_are_listed(results):
    assert unmeasured_table(results).rows == ()
    changed = with_sweep(results, "twin", sweep_end="memory", sweep_reason="batch 32 ran out of memory: no")
    changed = with_sweep(changed, "crosskd", gpu_unseen="no nvidia-ml-py")
    assert [row.cells for row in unmeasured_table(changed).rows] == [
        ("twin", "ONNX Runtime fp32", "batch 32 ran out of memory: no"),
        ("crosskd", "ONNX Runtime fp32", "GPU not watched: no nvidia-ml-py"),
    ]


def test_gpu_use(results):
    assert gpu_table(results).rows == ()
    table = gpu_table(with_latency(results, "crosskd", gpu=GPU))
    assert len(table.rows) == 6
    assert table.rows[0].cells == ("crosskd", "ONNX Runtime fp32", "1", "2,100", "1,980", "–", "350", "0.052")


def test_the_batch_chart_draws_the_fastest_rung_of_each_model(results):
    throughput, latency = batch_chart(results, Look(LIGHT)).axes
    lines = {line.get_label(): line for line in throughput.get_lines()}
    assert list(lines) == ["teacher", "twin", "crosskd"]
    assert list(lines["crosskd"].get_xdata()) == [1, 8]
    run = model_of(results, "crosskd").benchmark.runs[1]
    assert list(lines["crosskd"].get_ydata()) == [item.images_per_second for item in run.latency]
    assert list(latency.get_lines()[2].get_ydata()) == [item.p50 for item in run.latency]
    assert [tick.get_text() for tick in latency.get_xticklabels()] == ["1", "8"]


def test_the_batch_chart_in_words(results):
    assert "crosskd under OpenVINO fp32: 222 images/s at batch 1 and 269 images/s at batch 8" in batch_alt(results)


def test_nothing_measured_is_said(results):
    empty = results
    for model in results.models:
        empty = with_runs(empty, model.name, [])
    assert batch_alt(empty) == "No artefact was measured."
    figure = batch_chart(empty, Look(LIGHT))
    assert figure.axes[0].texts[0].get_text() == "no artefact was measured"


@pytest.mark.parametrize("narrow", [False, True])
def test_the_batch_chart_is_drawn_on_every_screen(results, narrow: bool):
    assert len(batch_chart(replace(results), Look(LIGHT, narrow=narrow)).axes) == 2
