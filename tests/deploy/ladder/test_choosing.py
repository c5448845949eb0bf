from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.ladder.choosing import choose, choose_artefacts
from deploy.runtime.errors import ArtefactError
from pipeline.datasets.prepared import read_dataset
from pipeline.deploy_records import BenchmarkRecord, ComparedRung, ComparisonRecord
from pipeline.deploy_settings import BenchmarkSettings
from pipeline.evaluation import evaluate_detections
from pipeline.layout import artefact_file
from pipeline.shipping_records import ChoosingRung
from tests.deploy.measured import timed_run
from tests.deploy.tiny import write_dataset, write_network_artefact

SETTINGS = BenchmarkSettings(backends=["onnxruntime"], batch_sizes=[1], threads=1, pin=False)


def rung(model: str, artefact: str, milliseconds: float, backend: str = "openvino") -> ComparedRung:
    speed = {"times_as_fast": 1.0, "low": 1.0, "high": 1.0}
    place = {"model": model, "artefact": artefact, "backend": backend, "precision": artefact}
    return ComparedRung(**place, group=0, calls=1, milliseconds=milliseconds, **speed)


@dataclass
class Known:
    """AP by model and artefact, and what was asked for."""

    ap: dict[tuple[str, str], float | None]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, found: ComparedRung) -> float | None:
        self.asked.append((found.model, found.artefact))
        return self.ap[found.model, found.artefact]


def names(rungs: list[ChoosingRung]) -> list[tuple[str, str]]:
    return [(each.model, each.artefact) for each in rungs]


RUNGS = [
    *(rung("crosskd", "fp32", 9.0), rung("crosskd", "fp16", 8.0), rung("crosskd", "int8", 3.0)),
    *(rung("twin", "fp32", 9.5), rung("twin", "int8", 2.5)),
    *(rung("cskd", "fp32", 9.1), rung("cskd", "int8", 2.9)),
]
AP = {("crosskd", "fp32"): 60.0, ("crosskd", "fp16"): 59.9, ("crosskd", "int8"): 58.8}
AP |= {("cskd", "fp32"): 59.5, ("cskd", "int8"): 59.1, ("twin", "fp32"): 50.0, ("twin", "int8"): 48.9}


def test_the_fastest_within_the_budget_of_the_best_student_ship_and_nothing_more_is_measured() -> None:
    accuracy = Known(AP)
    found = choose(RUNGS, accuracy, 1.0, "val", 300)
    assert names(found.candidates) == [("cskd", "int8"), ("crosskd", "fp16"), ("crosskd", "fp32")]
    assert (found.best.model, found.best.ap, found.split, found.images) == ("crosskd", 60.0, "val", 300)
    own = {model: each.artefact for model, each in found.of_model.items()}
    assert own == {"crosskd": "fp16", "twin": "fp32", "cskd": "int8"}
    # Each once: every fp32 first, then by time.
    exact = [("crosskd", "fp32"), ("twin", "fp32"), ("cskd", "fp32")]
    assert accuracy.asked == [*exact, ("cskd", "int8"), ("crosskd", "int8"), ("crosskd", "fp16"), ("twin", "int8")]
    assert names(found.measured) == accuracy.asked


def test_of_a_student_beyond_the_budget_the_fastest_within_its_own_ships() -> None:
    found = choose(RUNGS, Known(AP | {("twin", "int8"): 49.2}), 1.0, "val", 1)
    assert found.of_model["twin"].artefact == "int8"
    assert "twin" not in {each.model for each in found.candidates}


def test_a_twin_that_is_as_good_ships() -> None:
    found = choose(RUNGS, Known(AP | {("twin", "fp32"): 60.5, ("twin", "int8"): 60.1}), 1.0, "val", 1)
    assert names(found.candidates)[0] == ("twin", "int8")


def test_enough_candidates_end_the_search() -> None:
    fast = [rung("crosskd", "int8", number / 10, f"backend{number}") for number in range(1, 6)]
    accuracy = Known(AP | {("crosskd", "int8"): 60.0})
    found = choose([*RUNGS[:2], *fast], accuracy, 1.0, "val", 1)
    assert [each.backend for each in found.candidates] == ["backend1", "backend2", "backend3"]
    assert accuracy.asked == [("crosskd", "fp32"), *[("crosskd", "int8")] * 3]


def test_without_a_box_to_find_or_a_rung_nothing_ships() -> None:
    for rungs in (RUNGS, []):
        found = choose(rungs, Known(dict.fromkeys(AP)), 1.0, "val", 1)
        assert (found.best, found.candidates, found.of_model) == (None, [], {})


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0.1, 50), st.none() | st.floats(0, 100)), min_size=1, max_size=12
    ),
    st.floats(0, 20),
)
def test_what_ships_is_within_the_budget_and_nothing_faster_of_its_student_is(drawn, loss: float) -> None:
    rungs = [rung(model, str(place), time) for place, (model, time, _) in enumerate(drawn)]
    ap = {(model, str(place)): value for place, (model, _, value) in enumerate(drawn)}
    found = choose(rungs, Known(ap), loss, "val", 1)
    exact = {model: ap[model, min((place for name, place in ap if name == model), key=int)] for model, _ in ap}
    reached = [value for value in exact.values() if value is not None]
    times = {(each.model, each.artefact): each.milliseconds for each in rungs}
    assert (found.best is None) == (not reached)
    assert all(each.ap is not None and each.ap >= max(reached) - loss for each in found.candidates)
    for model, each in found.of_model.items():
        budget = max(reached) - loss if exact[model] >= max(reached) - loss else exact[model] - loss
        within = [key for key, value in ap.items() if key[0] == model and value is not None and value >= budget]
        assert times[model, each.artefact] == min(times[key] for key in within)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for model in ("teacher", "twin"):
        artefact_file(model).parent.mkdir(exist_ok=True)
        write_network_artefact(artefact_file(model))
    return tmp_path


COMPARED = ComparisonRecord(
    batch_size=1,
    groups=[],
    rungs=[rung("teacher", "fp32", 1.0, "onnxruntime"), rung("twin", "fp32", 2.0, "onnxruntime")],
    absent=[],
)


def records(data: Path, ap: float) -> list[BenchmarkRecord]:
    """The benchmark of a twin whose file reached this on the measured split."""
    accuracy = evaluate_detections(data / "test.json", [], "test")
    accuracy = accuracy.model_copy(update={"numbers": accuracy.numbers.model_copy(update={"ap": ap})})
    run = timed_run("onnxruntime", 2.0).model_copy(update={"accuracy": accuracy})
    return [BenchmarkRecord(model="twin", images=2, torch_ap=None, torch_interval=None, artefacts=[], runs=[run])]


def test_files_run_on_val_where_test_is_measured(project: Path) -> None:
    data = write_dataset(project / "prepared", [(10, 10, 40, 30), (4, 20, 90, 60)], splits=("val", "test"))
    record = read_dataset(data)
    other = record.splits["test"].model_copy(update={"sha256": "1" * 64})
    record.model_copy(update={"splits": {"val": record.splits["val"], "test": other}}).write(data / "dataset.json")
    found = choose_artefacts(COMPARED, records(data, 12.5), data, "test", SETTINGS, 1.0)
    (only,) = found.measured
    assert (only.model, only.artefact, only.backend, found.split, found.images) == (
        *("twin", "fp32", "onnxruntime"),
        *("val", 2),
    )
    assert only.ap not in (None, 12.5)
    part = SETTINGS.model_copy(update={"accuracy_images": 1})
    assert choose_artefacts(COMPARED, records(data, 12.5), data, "test", part, 1.0).images == 1


@pytest.mark.parametrize("splits", [("val",), ("val", "test")])
def test_what_was_measured_on_val_already_runs_no_more(project: Path, splits: tuple[str, ...]) -> None:
    """There is no test split, or it is val's pictures again."""
    data = write_dataset(project / "prepared", [(10, 10, 40, 30), (4, 20, 90, 60)], splits=splits)
    artefact_file("twin").unlink()
    found = choose_artefacts(COMPARED, records(data, 12.5), data, "test", SETTINGS, 1.0)
    assert [each.ap for each in found.measured] == [12.5]
    assert found.of_model == {"twin": found.best}


def test_a_file_that_fails_now_is_named(project: Path) -> None:
    data = write_dataset(project / "prepared", [(10, 10, 40, 30)], splits=("train", "val"))
    record = read_dataset(data)
    other = record.splits["train"].model_copy(update={"sha256": "1" * 64})
    record.model_copy(update={"splits": {**record.splits, "test": other}}).write(data / "dataset.json")
    artefact_file("twin").unlink()
    with pytest.raises(ArtefactError, match=r"artefacts/twin\.onnx"):
        choose_artefacts(COMPARED, records(data, 12.5), data, "test", SETTINGS, 1.0)
