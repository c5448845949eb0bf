"""The arithmetic of the gain study, and which runs it repeats."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.gain import Case, GainRun, paired_gain, recipe_of, table
from pipeline.errors import PipelineError
from pipeline.layout import DATASET_RECORD, recipe_file
from pipeline.recipes import resolve, write_resolved
from pipeline.recipes.resolving import plain_settings
from pipeline.setting_types import StartingWeights
from pipeline.settings import load_params
from tests.minimal_dataset import minimal_dataset

points = st.floats(min_value=0, max_value=100)


def run(student: str, seed: int, ap: float, seconds: float = 100.0, iterations: int = 9) -> GainRun:
    method = "none" if student == "twin" else "CrossKD"
    return GainRun(
        student=student,
        method=method,
        seed=seed,
        key="k",
        split="test",
        val_ap=ap + 1,
        ap=ap,
        iterations=iterations,
        seconds=seconds,
    )


@given(st.lists(st.tuples(points, points), min_size=2, max_size=8))
def test_the_interval_is_that_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    student, baseline = ({seed: pair[side] for seed, pair in enumerate(pairs)} for side in (0, 1))
    gain = paired_gain(student, baseline)
    differences = [one - other for one, other in pairs]
    assert gain.mean == pytest.approx(sum(differences) / len(differences), abs=1e-9)
    if len(set(differences)) > 1:
        low, high = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
        assert (gain.low, gain.high) == pytest.approx((low, high), abs=1e-6)


def test_only_seeds_of_both_are_paired() -> None:
    gain = paired_gain({0: 12.0, 1: 14.0, 7: 90.0}, {0: 10.0, 1: 10.0, 3: 0.0})
    assert (gain.mean, gain.pairs) == (3.0, 2)


def test_one_pair_has_no_finite_interval() -> None:
    gain = paired_gain({4: 12.0}, {4: 10.0})
    assert (gain.mean, gain.low, gain.high) == (2.0, float("-inf"), float("inf"))


def test_seeds_without_a_partner_are_an_error() -> None:
    with pytest.raises(PipelineError, match="no seed was trained for both"):
        paired_gain({0: 1.0}, {1: 1.0})


def test_the_table_has_one_row_a_student_with_its_gain_on_both_splits() -> None:
    runs = [run("twin", 0, 50, 100), run("twin", 1, 54, 120), run("crosskd", 0, 53, 200), run("crosskd", 1, 57, 220)]
    lines = table(runs, "twin").splitlines()
    assert lines[2] == "| 9 | twin | none | 2 | 52.0 ± 2.8 | 53.0 ± 2.8 |  |  | 110 s |"
    assert (
        lines[3]
        == "| 9 | crosskd | CrossKD | 2 | 55.0 ± 2.8 | 56.0 ± 2.8 | +3.0 [+3.0, +3.0] | +3.0 [+3.0, +3.0] | 210 s |"
    )


def test_each_budget_is_compared_with_its_own_baseline() -> None:
    runs = [run("twin", 0, 50), run("crosskd", 0, 60), run("twin", 0, 70, 300, 27), run("crosskd", 0, 71, 300, 27)]
    rows = [[cell.strip() for cell in line.split("|")] for line in table(runs, "twin").splitlines()[2:]]
    assert [(row[1], row[2], row[7]) for row in rows] == [
        ("9", "twin", ""),
        ("9", "crosskd", "+10.0 [-inf, +inf]"),
        ("27", "twin", ""),
        ("27", "crosskd", "+1.0 [-inf, +inf]"),
    ]


def test_another_budget_changes_the_length_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params()
    twin = params.twins["twin"].model_copy(
        update={"width": 0.5, "init": StartingWeights(sources=["mine.pth"], sha256="1" * 64)}
    )
    train = params.train.model_copy(update={"batch_size": 4})
    params = params.model_copy(update={"twins": {"twin": twin}, "train": train, "input_size": (128, 128)})
    (tmp_path / "configs").symlink_to(Path("configs").resolve())
    monkeypatch.chdir(tmp_path)
    dataset = minimal_dataset("a", "b")
    dataset.write(DATASET_RECORD)
    own = resolve(Path(twin.recipe), dataset, twin.options, plain_settings(params, "twin"))
    write_resolved(recipe_file("twin"), own)
    before, after = (recipe_of(params, Case("twin", 0, budget), tmp_path) for budget in (None, 40))
    assert after.config["train_cfg"]["max_iters"] == 40
    assert (after.init, after.input_size) == (before.init, (128, 128))
    assert after.init is not None
    for key in ("model", "optim_wrapper", "train_dataloader", "val_dataloader"):
        assert after.config[key] == before.config[key]
