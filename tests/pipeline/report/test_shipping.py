"""Which file to ship: one file with its own accuracy and its own latency."""

from dataclasses import replace

import pytest

from pipeline.errors import PipelineError
from pipeline.report.shipping import candidates, chosen_of, shipping_sentences
from pipeline.shipping_records import ChoosingRung
from tests.pipeline.report.variants import chosen_anew, model_of, with_runs, without_turns


def with_rungs(results, model: str, rungs: dict[str, tuple[float | None, float]]):
    """The rungs ``artefact@backend`` with these AP, and ms of taking turns, in the place of a model's own."""
    pattern = next(run for run in model_of(results, model).runs if run.status == "ok")
    turns = results.comparison.rungs[0]
    runs, took = [], []
    for name, (ap, milliseconds) in rungs.items():
        artefact, backend = name.split("@")
        numbers = pattern.accuracy.numbers.model_copy(update={"ap": ap})
        changes = {"artefact": artefact, "backend": backend, "precision": artefact}
        accuracy = pattern.accuracy.model_copy(update={"numbers": numbers})
        runs.append(pattern.model_copy(update={**changes, "accuracy": accuracy}))
        took.append(turns.model_copy(update={**changes, "model": model, "milliseconds": milliseconds}))
    kept = [each for each in results.comparison.rungs if each.model != model]
    comparison = results.comparison.model_copy(update={"rungs": [*kept, *took]})
    return chosen_anew(replace(with_runs(results, model, runs), comparison=comparison))


@pytest.fixture
def known(results):
    results = with_rungs(results, "teacher", {"int8@openvino": (70.0, 10.0), "fp32@openvino": (70.5, 20.0)})
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


def test_the_fastest_within_the_budget_ships_and_every_file_has_its_own_numbers(known) -> None:
    score = model_of(known, "crosskd").point.score
    assert plain(shipping_sentences(known)) == (
        f"Ship artefacts/crosskd.int8.onnx with score threshold {score:.2f}: 59.4 AP, 3.00 ms, OpenVINO int8. It is "
        "the fastest of the students’ artefacts within 1.0 AP points of the best on val, 59.4 of 60.1, all taking "
        "turns. The next would be artefacts/crosskd.onnx (60.1 AP, 8.00 ms, OpenVINO fp32), artefacts/crosskd.onnx "
        "(60.0 AP, 9.00 ms, ONNX Runtime fp32). "
        "Beside it, the fastest of each: teacher (70.0 AP, 10.0 ms, OpenVINO int8), twin (55.0 AP, 2.00 ms, "
        "OpenVINO int8)."
    )


def test_a_larger_budget_takes_the_faster_one(known) -> None:
    report = known.params.report.model_copy(update={"max_ap_loss": 2.0})
    params = known.params.model_copy(update={"report": report})
    best = candidates(chosen_anew(replace(known, params=params)))[0]
    assert (best.file, best.beside.turns.milliseconds) == ("artefacts/crosskd.int8.onnx", 2.5)


def test_a_twin_that_is_as_good_ships(known) -> None:
    results = with_rungs(known, "twin", {"int8@openvino": (59.9, 2.0)})
    assert candidates(results)[0].file == "artefacts/twin.int8.onnx"
    assert plain(shipping_sentences(results)).endswith(
        "Beside it, the fastest of each: teacher (70.0 AP, 10.0 ms, OpenVINO int8)."
    )


def test_what_was_fast_in_a_run_of_its_own_alone_does_not_ship(known) -> None:
    results = chosen_anew(without_turns(known, "crosskd", "int8@openvino", "no memory"))
    text = plain(shipping_sentences(results))
    assert text.startswith("Ship artefacts/crosskd.onnx with")
    assert "60.1 AP, 8.00 ms, OpenVINO fp32" in text
    assert text.endswith("Left out: 1 of the students’ 5 rungs, which took no turns.")


def test_without_a_measured_artefact_nothing_is_said(known) -> None:
    bare = tuple(replace(model, benchmark=None) for model in known.models)
    assert shipping_sentences(chosen_anew(replace(known, models=bare))) == []
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


def test_what_val_chose_is_reported_with_its_numbers_on_test(known) -> None:
    """The faster file is within the budget on test, and was not on val."""
    rung = ChoosingRung(model="crosskd", artefact="fp32", backend="openvino", ap=50.2)
    choice = known.chosen.model_copy(update={"best": rung, "candidates": [rung]})
    text = plain(shipping_sentences(replace(known, chosen=choice)))
    assert text.startswith("Ship artefacts/crosskd.onnx with")
    assert "60.1 AP, 8.00 ms" in text
    assert "the best on val, 50.2 of 50.2, all taking turns" in text


def test_a_choice_of_what_took_no_turns_is_not_of_this_run(known) -> None:
    with pytest.raises(PipelineError, match=r"reports/chosen\.json: chose int8 of crosskd under openvino.*dvc repro"):
        candidates(without_turns(known, "crosskd", "int8@openvino", "no memory"))
