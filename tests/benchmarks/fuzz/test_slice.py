"""A slice of the fuzzing: every sample is read undamaged, and some hundred damaged inputs by their own readers."""

from pathlib import Path

import pytest

from benchmarks.fuzz.campaign import run
from benchmarks.fuzz.cases import Case, Outcome, run_case
from benchmarks.fuzz.failures import table
from benchmarks.fuzz.inputs import KINDS
from benchmarks.fuzz.workers import kind_of


@pytest.mark.parametrize("name", KINDS)
def test_every_sample_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    kind = kind_of(name)
    results = [
        run_case(Case(name, sample, 0, 0), kind, kind.samples[sample].content, tmp_path) for sample in kind.samples
    ]
    assert not [result for result in results if result.outcome is not Outcome.ACCEPTED]


def test_no_damaged_input_ends_in_anything_but_a_refusal_of_the_projects_own(tmp_path: Path) -> None:
    results = run(KINDS, seed=0, count=600, jobs=1, out=tmp_path)
    failed = [
        f"{result.case.name}: {result.outcome}: {result.detail}" for result in results if result.outcome.is_failure
    ]
    assert not failed, "\n".join(failed)
    assert {result.case.kind for result in results if result.outcome is Outcome.REFUSED} == {*KINDS}, table(results)
    assert len(results) >= 600
