import re
from dataclasses import replace

import pytest

from pipeline.report.collect import collect
from pipeline.report.comparison import Gain
from pipeline.report.headline import gain_sentence, headline, key_figures
from tests.pipeline.report.example_run import TEACHER_MODEL, TWIN, example_params, write_run
from tests.pipeline.report.variants import model_of, with_draws, with_numbers, with_turns


def _plain(sentences):
    return " ".join(sentences).replace("\u00a0", " ")


@pytest.fixture
def known(results):
    results = with_numbers(results, "teacher", ap=72.4)
    results = with_numbers(results, "twin", ap=58.2)
    results = with_numbers(results, "crosskd", ap=60.1)
    results = with_draws(results, "twin", [58.0, 57.0, 59.0])
    return with_draws(results, "crosskd", [60.0, 60.1, 60.2])


def artefact_ap(results, name: str) -> float:
    return model_of(results, name).benchmark.runs[1].accuracy.numbers.ap


def test_the_whole_headline(known):
    own, of_teacher = artefact_ap(known, "crosskd"), artefact_ap(known, "teacher")
    assert _plain(headline(known)) == (
        "crosskd reaches 60.1 AP on the test split; twin, the same student trained without distillation, reaches 58.2; "
        "the teacher reaches 72.4. "
        "crosskd against twin: +1.9 AP points (95 % interval +1.1 to +2.9). "
        "The interval excludes 0: the distilled student is the better detector here. "
        "An interval covers the choice of test images, not the training seed. "
        "crosskd keeps 83 % of the teacher’s AP with 4.2× fewer FLOPs and 2.3× fewer parameters "
        "(1.31 G against 5.46 G; 1.48 M against 3.40 M). "
        f"Its fastest artefact (OpenVINO fp32, {own:.1f} AP) is 3.5× faster than the teacher’s (OpenVINO fp32, "
        f"{of_teacher:.1f} AP): 4.77 ms against 16.5 ms at the median, batch 1, taking turns (quartiles over 15 rounds "
        "3.4× to 3.5×). "
        "The data set is composed: real parts were put together by a program. Its numbers compare models with each "
        "other; they do not predict accuracy on photographs."
    )


@pytest.mark.parametrize(
    ("difference", "says", "never_says"),
    [
        (Gain(1.9, 0.6, 3.2, 0.95), "excludes 0: the distilled student is the better", "includes"),
        (Gain(-1.4, -2.2, -0.3, 0.95), "−0.3). The interval excludes 0: the distilled student is the worse", "better"),
        (Gain(1.9, -0.2, 3.2, 0.95), "includes 0: this run does not show a difference", "better"),
        (Gain(-0.4, -1.1, 0.3, 0.95), "includes 0: this run does not show", "worse"),
        (Gain(9.9, None, None, None), "+9.9 AP points, without an interval; whether", "better"),
    ],
)  # fmt: skip
def test_the_claim_is_no_stronger_than_the_interval(difference, says, never_says):
    sentence = gain_sentence("crosskd", "twin", difference).replace("\u00a0", " ")
    assert says in sentence
    assert never_says not in sentence


def test_a_val_split_that_is_measured_is_said_to_flatter(results):
    assert "flatter" not in _plain(headline(results))
    splits = {**results.dataset.splits, "val": results.split}
    same = replace(results, dataset=results.dataset.model_copy(update={"splits": splits}))
    assert "Measured on val, not on test: the pictures that these numbers are of also chose" in _plain(headline(same))


def test_no_baseline(run):
    results = collect(example_params(["crosskd"]), run)
    text = _plain(headline(results))
    assert "No baseline called twin was trained, so what distillation adds cannot be stated." in text
    assert "trained without distillation" not in text
    assert "interval covers" not in text
    assert [figure.label for figure in key_figures(results)] == [
        "teacher AP", "crosskd AP", "fewer FLOPs", "faster artefact",
    ]  # fmt: skip


def test_only_the_baseline(run):
    results = collect(example_params(["twin"]), run)
    text = _plain(headline(results))
    assert "No distilled student was trained beside the baseline" in text
    assert [figure.label for figure in key_figures(results)][:2] == ["teacher AP", "twin AP"]


def test_several_students_are_each_compared(tmp_path):
    second = TWIN.__class__("pkd", "crosskd+pkd", 0.5, 1, 1, 1.0)
    third = TWIN.__class__("crosskd", "crosskd", 0.85, 1, 1, 1.0)
    params = example_params(["twin", "pkd", "crosskd"])
    write_run(tmp_path, params, (TEACHER_MODEL, TWIN, second, third))
    sentences = headline(collect(params, tmp_path))
    assert "the highest of 2 students" in sentences[0]
    assert sentences[1].startswith("crosskd against twin: +")
    assert sentences[2].startswith("pkd against twin: −")


def test_a_null_ap_is_said(known):
    text = _plain(headline(with_numbers(known, "crosskd", ap=None)))
    assert "crosskd reaches – AP" in text
    assert "The gain of crosskd over twin is unknown: one of the two has no AP." in text
    assert "crosskd with 4.2× fewer FLOPs" in text


def test_a_larger_and_slower_student_is_called_so(known):
    student = model_of(known, "crosskd")
    heavier = student.evaluation.complexity.model_copy(update={"flops": 10_920_000_000, "parameters": 6_800_000})
    student = replace(student, evaluation=student.evaluation.model_copy(update={"complexity": heavier}))
    results = replace(known, models=(*known.models[:2], student))
    results = with_turns(results, "crosskd", milliseconds=99.0)
    slow = {"milliseconds": 60.0, "times_as_fast": 0.25, "low": 0.2, "high": 0.4}
    results = with_turns(results, "crosskd", "int8@onnxruntime", **slow)
    text = _plain(headline(results))
    assert "2.0× more FLOPs and 2.0× more parameters" in text
    assert "Its fastest artefact (ONNX Runtime int8, " in text
    assert "is 4.0× slower than the teacher’s (OpenVINO fp32, " in text
    assert (
        "60.0 ms against 16.5 ms at the median, batch 1, taking turns (quartiles over 15 rounds 2.5× to 5.0×)" in text
    )
    figures = {figure.label: figure.value for figure in key_figures(results)}
    assert figures["more FLOPs"] == "2.0×"
    assert figures["slower artefact"] == "4.0×"


def test_a_speed_whose_spread_includes_one_is_no_difference(known):
    unclear = {"times_as_fast": 1.02, "low": 0.9, "high": 1.3}
    results = with_turns(known, "crosskd", **unclear)
    claim = "this run does not show which is faster"
    assert claim in _plain(headline(results))
    assert claim not in _plain(headline(known))


def test_a_teacher_without_artefact_gives_no_ratio(run):
    text = _plain(headline(collect(example_params(export={"models": ["crosskd"]}), run)))
    assert " AP) takes 4.77 ms at the median, batch 1; there is no artefact of the teacher to compare with." in text


def test_flops_that_are_not_known_are_left_out(known):
    teacher = model_of(known, "teacher")
    unknown = teacher.evaluation.complexity.model_copy(update={"flops": None})
    teacher = replace(teacher, evaluation=teacher.evaluation.model_copy(update={"complexity": unknown}))
    text = _plain(headline(replace(known, models=(teacher, *known.models[1:]))))
    assert re.search(r"crosskd keeps .* with [\d.]+× fewer parameters \(.+ M against .+ M\); the FLOPs of", text)
    assert "–" not in text


def test_real_data_is_not_called_composed(known):
    real = replace(known, dataset=known.dataset.model_copy(update={"composed": False}))
    assert "composed" not in _plain(headline(real))


def test_key_figures(known):
    figures = [(figure.label, figure.value, figure.context.replace("\u00a0", " ")) for figure in key_figures(known)]
    assert figures[1:] == [
        ("twin AP", "58.2", "57.0 to 59.0, no distillation"),
        ("crosskd AP", "60.1", "60.0 to 60.2, 83 % of the teacher’s AP"),
        ("gain over twin", "+1.9", "95 % interval +1.1 to +2.9"),
        ("fewer FLOPs", "4.2×", "2.3× fewer parameters"),
        ("faster artefact", "3.5×", f"4.77 ms against 16.5 ms; its own AP {artefact_ap(known, 'crosskd'):.1f}"),
    ]
