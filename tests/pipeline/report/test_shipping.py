"""Which file to ship: one file with its own accuracy and its own latency."""

from dataclasses import replace

import pytest

from pipeline.report.shipping import candidates, chosen_of, shipping_sentences
from tests.pipeline.report.variants import model_of, with_runs


def with_rungs(results, model: str, rungs: dict[str, tuple[float | None, float]]):
    """The rungs ``artefact@backend`` with these AP and p50 in the place of a model's own."""
    pattern = next(run for run in model_of(results, model).runs if run.status == "ok")
    runs = []
    for name, (ap, p50) in rungs.items():
        artefact, backend = name.split("@")
        numbers = pattern.accuracy.numbers.model_copy(update={"ap": ap})
        latency = replace(pattern.latency_at(1), p50=p50)
        changes = {"artefact": artefact, "backend": backend, "precision": artefact, "latency": [latency]}
        accuracy = pattern.accuracy.model_copy(update={"numbers": numbers})
        runs.append(pattern.model_copy(update={**changes, "accuracy": accuracy}))
    return with_runs(results, model, runs)


@pytest.fixture
def known(results):
    results = with_rungs(results, "teacher", {"int8@openvino": (70.0, 1.0)})
    results = with_rungs(results, "twin", {"int8@openvino": (55.0, 2.0)})
    return with_rungs(
        results,
        "crosskd",
        {
            "fp32@onnxruntime": (60.0, 9.0),
            "fp32@openvino": (60.1, 8.0),
            "int8@openvino": (59.4, 3.0),
            "int8@onnxruntime": (58.9, 2.5),
        },
    )


def plain(sentences: list[str]) -> str:
    return " ".join(sentences).replace("\u00a0", " ")


def test_the_fastest_within_the_budget_ships_with_its_own_numbers(known) -> None:
    text, score = plain(shipping_sentences(known)), model_of(known, "crosskd").point.score
    assert text.startswith(
        f"Ship artefacts/crosskd.int8.onnx with score threshold {score:.2f}: 59.4 AP, 3.00 ms (OpenVINO int8). By "
        "their own runs it is the fastest of the students’ artefacts within 1.0 AP points of the best."
    )
    assert text.endswith(
        "The next would be artefacts/crosskd.onnx (60.1 AP, OpenVINO fp32), artefacts/crosskd.onnx (60.0 AP, ONNX "
        "Runtime fp32)."
    )


def test_a_larger_budget_takes_the_faster_one(known) -> None:
    report = known.params.report.model_copy(update={"max_ap_loss": 2.0})
    params = known.params.model_copy(update={"report": report})
    assert candidates(replace(known, params=params))[0].file == "artefacts/crosskd.int8.onnx"
    assert candidates(replace(known, params=params))[0].measured.latency.p50 == 2.5


def test_a_twin_that_is_as_good_ships(known) -> None:
    results = with_rungs(known, "twin", {"int8@openvino": (59.9, 2.0)})
    assert candidates(results)[0].file == "artefacts/twin.int8.onnx"


def test_what_took_turns_has_the_time_of_that_run_and_its_part_of_the_teachers(results, known) -> None:
    compared = next(item for item in known.comparison.models if item.model == "crosskd")
    same = with_rungs(results, "crosskd", {f"{compared.artefact}@{compared.backend}": (60.0, 3.0)})
    assert "60.0 AP, 4.34 ms (OpenVINO fp32), 29 % of the teacher’s fastest artefact." in plain(
        shipping_sentences(same)
    )
    assert "teacher" not in plain(shipping_sentences(known))


def test_without_a_measured_artefact_nothing_is_said(known) -> None:
    bare = tuple(replace(model, benchmark=None) for model in known.models)
    assert shipping_sentences(replace(known, models=bare)) == []
    assert (
        shipping_sentences(with_rungs(with_rungs(known, "crosskd", {}), "twin", {"fp32@openvino": (None, 3.0)})) == []
    )


def test_what_ships_of_one_student_is_its_own_and_within_the_common_budget_where_it_can_be(known) -> None:
    assert chosen_of(known, "crosskd").file == "artefacts/crosskd.int8.onnx"
    far = with_rungs(known, "twin", {"fp32@openvino": (50.0, 5.0), "int8@openvino": (49.5, 4.0), "fp16@x": (48.0, 1.0)})
    assert chosen_of(far, "twin").file == "artefacts/twin.int8.onnx"
    near = with_rungs(known, "twin", {"fp32@openvino": (60.5, 5.0), "int8@openvino": (59.2, 4.0)})
    assert chosen_of(near, "twin").ap == 60.5
    assert chosen_of(with_rungs(known, "twin", {}), "twin") is None
