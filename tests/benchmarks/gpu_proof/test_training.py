"""Part 3: an AP is held against five CPU seeds, a student that fails is told with its last words."""

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from benchmarks.gpu_proof import training
from benchmarks.gpu_proof.embedded import Embedded
from benchmarks.gpu_proof.place import Mismatch, Place
from benchmarks.gpu_proof.record import Numbers
from pipeline.settings import load_params


def test_reference_numbers_are_those_of_the_study() -> None:
    results = Path("docs/results.md").read_text(encoding="utf-8")
    for seeds in training.CPU_AP.values():
        assert ", ".join(map(str, seeds)) in " ".join(results.split())
    assert training.CPU_AP.keys() == load_params().trained.keys()


@pytest.mark.parametrize(("ap", "fits"), [(42.4, True), (47.0, True), (37.0, True), (49.5, False), (0.0, False)])
def test_an_ap_must_be_one_that_another_seed_could_give(ap: float, fits: bool) -> None:
    numbers: Numbers = {}
    if fits:
        training.check_ap("twin", ap, numbers)
    else:
        with pytest.raises(Mismatch, match=r"outside 42\.4 ± 6\.1"):
            training.check_ap("twin", ap, numbers)
    assert (numbers["CPU's AP, five seeds"], numbers["one more seed, ±"]) == (42.4, 6.1)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that write a result or fail, in the place of trainings."""
    body = dedent("""
        import json, pathlib, sys
        student, folder = sys.argv[1:3]
        if student == "crosskd":
            print("loading"); sys.exit("error: loss is not finite")
        result = {"AP test": 42.0 if student == "twin" else 1.0}
        pathlib.Path(folder, "result.json").write_text(json.dumps(result))
    """)
    monkeypatch.setattr(
        training.Trainings, "command", lambda self, student, folder: [sys.executable, "-c", body, student, str(folder)]
    )
    monkeypatch.setattr(Embedded, "open", lambda folder, rehearsal: None)


@pytest.mark.usefixtures("made_up")
def test_every_student_has_its_own_result(place: Place) -> None:
    trainings = training.Trainings(place, ["twin", "crosskd", "cskd"])
    numbers: Numbers = {}
    trainings.result("twin", numbers)
    assert numbers["AP test"] == 42.0
    with pytest.raises(Mismatch, match=r"exit code 1: loading \| error: loss is not finite"):
        trainings.result("crosskd", {})
    with pytest.raises(Mismatch, match=r"AP 1\.0 is outside"):
        trainings.result("cskd", {})


@pytest.mark.usefixtures("made_up")
def test_a_rehearsal_compares_nothing(place: Place) -> None:
    rehearsal = Place(place.device, True, place.scratch)
    numbers: Numbers = {}
    training.Trainings(rehearsal, ["cskd"]).result("cskd", numbers)
    assert json.dumps(numbers) == '{"AP test": 1.0}'
