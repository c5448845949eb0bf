"""Every way in which a case can end, seen from outside of the process that it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzz.__main__ import main
from benchmarks.fuzz.campaign import run
from benchmarks.fuzz.cases import Case, Outcome, damaged
from benchmarks.fuzz.failures import table
from benchmarks.fuzz.inputs.wheels import KIND as WHEELS
from benchmarks.fuzz.workers import Worker

KIND = "tests.benchmarks.fuzz.bad_readers"
LIMIT_S = 2.0


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    running = Worker(tmp_path_factory.mktemp("worker"), [KIND], LIMIT_S)
    yield running
    running.close()


@pytest.mark.parametrize(
    ("way", "outcome", "said"),
    [
        ("accept", Outcome.ACCEPTED, ""),
        ("refuse", Outcome.REFUSED, "not taken"),
        ("nameless", Outcome.UNCLEAR, "does not name input.txt"),
        ("endless", Outcome.UNCLEAR, "characters"),
        ("differ", Outcome.DIFFERENT, "other"),
        ("raise", Outcome.FOREIGN, "KeyError: 'raise damaged'"),
        ("leave", Outcome.FOREIGN, "SystemExit"),
        ("crash", Outcome.CRASH, "SIGABRT"),
        ("hang", Outcome.HANG, "more than 2 s"),
        ("swell", Outcome.FOREIGN, "MemoryError"),
    ],
)
def test_a_case_has_its_outcome_whatever_the_reader_does(worker: Worker, way: str, outcome: Outcome, said: str) -> None:
    result = worker.run(Case(KIND, way, 0, 1))
    assert result.outcome is outcome
    assert said in result.detail


def test_inputs_that_failed_are_kept_and_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.fuzz.workers.LIMIT_S", LIMIT_S)
    results = run([KIND], seed=3, count=1, jobs=2, out=tmp_path)
    failed = {result.case.sample for result in results if result.outcome.is_failure}
    assert failed == {"nameless", "endless", "differ", "raise", "leave", "crash", "hang", "swell"}
    kept = {path.name.split("--")[1] for path in tmp_path.glob("*.txt.txt")}
    assert kept == failed
    assert "| all | 10 | 1 | 1 | 3 | 2 | 1 | 1 | 1 |" in table(results)
    [crashed] = tmp_path.glob("*--crash--3--?.txt")
    with pytest.raises(SystemExit, match="1"):
        main(["--replay", str(crashed)])
    assert "SIGABRT" in capsys.readouterr().out


def test_the_same_seed_damages_alike() -> None:
    first, again, other = (damaged(Case("wheels", "lzma", seed, 5), WHEELS) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("name", ["none.png", "images--colour.png--0.png", "images--colour.png--x--1.png"])
def test_what_is_no_kept_input_is_no_traceback(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SystemExit, match="no file KIND--SAMPLE--SEED--NUMBER"):
        main(["--replay", str(tmp_path / name)])


def test_an_unknown_kind_is_a_matter_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "novels"])
    assert "invalid choice: 'novels'" in capsys.readouterr().err
