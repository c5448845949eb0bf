"""What a stage says at its start, and what it leaves for the next run."""

import logging
from pathlib import Path

import pytest

from pipeline.cli import stage_main
from pipeline.errors import PipelineError
from pipeline.layout import STAGE_TIMES
from pipeline.stage_times import STAGE_VARIABLE, StageTime, duration, expect, place_in_chain, read_times

CHAIN = {
    "surroundings": (),
    "data": ("surroundings",),
    "recipes": ("data",),
    "train@twin": ("recipes", "data"),
    "distill@a": ("recipes", "data"),
    "distill@b": ("recipes", "data"),
    "export@twin": ("train@twin",),
    "export@a": ("distill@a",),
    "export@b": ("distill@b",),
    "report": ("surroundings", "export@twin", "export@a", "export@b"),
}
MINUTES = dict(zip(CHAIN, (1, 2, 1, 10, 20, 30, 3, 3, 3, 1), strict=True))
FULL = {name: StageTime(60.0 * minutes, 1000.0 + place) for place, (name, minutes) in enumerate(MINUTES.items())}


def said(name: str, times: dict[str, StageTime] = FULL) -> str:
    return place_in_chain(name, CHAIN, times)


def test_all_that_follows_from_a_stage_is_left() -> None:
    assert said("data") == "stage 2 of 10: data; about 1 h 13 min left"
    assert said("train@twin") == "stage 4 of 10: train@twin; about 14 min left"
    assert said("distill@b") == "stage 6 of 10: distill@b; about 34 min left"
    assert said("report") == "stage 10 of 10: report; about 1 min left"


def test_stages_that_mostly_write_what_was_there_promise_nothing() -> None:
    assert said("surroundings") == "stage 1 of 10: surroundings"
    assert said("recipes") == "stage 3 of 10: recipes"


def test_after_a_kill_what_is_older_than_what_it_reads_is_left_too() -> None:
    # The second run of everything got as far as distill@a.
    times = FULL | {name: StageTime(60.0 * MINUTES[name], 2000.0) for name in ("data", "recipes", "train@twin")}
    assert said("distill@a", times) == "stage 5 of 10: distill@a; about 1 h 00 min left"
    assert said("surroundings", times) == "stage 1 of 10: surroundings; about 1 h 01 min left"


def test_in_a_first_run_siblings_lend_their_times_and_the_rest_is_named() -> None:
    times = {name: FULL[name] for name in ("surroundings", "data", "recipes", "train@twin", "distill@a")}
    assert said("distill@b", times) == (
        "stage 6 of 10: distill@b; about 20 min left, and what was never timed here (export, report)"
    )
    assert said("surroundings", {}) == "stage 1 of 10: surroundings"


def test_what_the_choice_expects_counts_until_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expect({"train@twin": 600.0, "distill@a": 1200.0, "distill@b": 1800.0})
    assert said("train@twin", read_times()) == (
        "stage 4 of 10: train@twin; about 1 h 00 min left, and what was never timed here (export, report)"
    )


def test_a_stage_that_is_not_of_the_chain_says_nothing() -> None:
    assert said("other") == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 min"),
        (3569, "59 min"),
        (3570, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (259_140, "71 h 59 min"),
        (259_200, "3 days"),
        (300 * 86_400, "300 days"),
    ],
)
def test_minutes_hours_and_days(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("{}")
    (tmp_path / "dvc.yaml").write_text("stages: {first: {outs: [a]}, second: {deps: [a]}}")
    monkeypatch.setenv(STAGE_VARIABLE, "first")
    return tmp_path


def test_a_stage_under_dvc_tells_its_place_and_is_timed(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = stage_main(lambda argv: None)
    with caplog.at_level(logging.INFO, "pipeline"):
        stage([])
        stage([])
    place = "stage 1 of 2: first"
    assert caplog.messages == [place, f"{place}; about 1 min left, and what was never timed here (second)"]
    assert read_times()["first"].seconds < 1


def test_a_stage_that_fails_or_is_run_by_hand_is_not_timed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(argv: object) -> None:
        raise PipelineError("no")

    with pytest.raises(SystemExit):
        stage_main(fail)([])
    monkeypatch.delenv(STAGE_VARIABLE)
    stage_main(lambda argv: None)([])
    assert not STAGE_TIMES.exists()


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 3, "b": [1], "c": ["x", 2], "d": [1, "x"]}'])
def test_damaged_times_are_none(project: Path, text: str) -> None:
    STAGE_TIMES.parent.mkdir()
    STAGE_TIMES.write_text(text)
    assert read_times() == {}


def test_times_that_cannot_be_written_cost_no_result(project: Path) -> None:
    STAGE_TIMES.parent.write_text("a file in the place of the folder")
    stage_main(lambda argv: None)([])
