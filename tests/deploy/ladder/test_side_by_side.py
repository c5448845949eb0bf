from pathlib import Path

import pytest

from deploy.ladder.side_by_side import compare_rungs
from pipeline.deploy_records import BackendRun, BenchmarkRecord
from pipeline.deploy_settings import BenchmarkSettings, CompareSettings
from pipeline.layout import artefact_file
from tests.deploy.measured import backend_run, timed_run
from tests.deploy.tiny import write_broken_artefact, write_dataset, write_network_artefact

SETTINGS = BenchmarkSettings(backends=["onnxruntime", "openvino"], batch_sizes=[2, 1], threads=1, pin=False)
QUICK = CompareSettings(rounds=3, calls=1)


def record(model: str, *runs: BackendRun) -> BenchmarkRecord:
    return BenchmarkRecord(model=model, images=4, torch_ap=None, torch_interval=None, artefacts=[], runs=list(runs))


RECORDS = [
    record("twin", timed_run("onnxruntime", 2.0), timed_run("openvino", 1.0)),
    record("teacher", backend_run("onnxruntime-cuda"), timed_run("onnxruntime", 5.0), timed_run("openvino", 4.0)),
    record("crosskd", backend_run("onnxruntime-cuda")),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for model in ("teacher", "twin"):
        artefact_file(model).parent.mkdir(exist_ok=True)
        write_network_artefact(artefact_file(model))
    return tmp_path


def test_every_rung_that_ran_takes_part_and_one_of_the_teachers_is_the_reference(
    project: Path, dataset_dir: Path
) -> None:
    found = compare_rungs(RECORDS, dataset_dir, "test", SETTINGS, QUICK)
    took_part = [(each.model, each.backend) for each in found.rungs]
    backends = ("onnxruntime", "openvino")
    assert sorted(took_part) == [(model, backend) for model in ("teacher", "twin") for backend in backends]
    assert took_part[0][0] == "teacher"
    # The rungs of the others stand as their own records have them.
    assert took_part[2:] == [("twin", "onnxruntime"), ("twin", "openvino")]
    assert found.batch_size == 1
    assert [group.rounds for group in found.groups] == [3]
    assert (found.rungs[0].times_as_fast, found.rungs[0].calls) == (1, 1)
    assert {(each.artefact, each.precision, each.group) for each in found.rungs} == {("fp32", "fp32", 0)}
    assert all(each.milliseconds > 0 and each.low <= each.times_as_fast <= each.high for each in found.rungs)
    assert found.absent == []


def test_without_a_test_split_the_images_are_val_s(project: Path) -> None:
    data = write_dataset(project / "prepared", [(10, 10, 40, 30)], splits=("val",))
    assert len(compare_rungs(RECORDS, data, "test", SETTINGS, QUICK).rungs) == 4


def test_the_teachers_fastest_and_one_rung_of_all_others_come_first(project: Path, dataset_dir: Path) -> None:
    """Which is who stays together where few sessions may be open."""
    write_network_artefact(artefact_file("crosskd"))
    records = [*RECORDS[:2], record("crosskd", timed_run("openvino", 1.0), timed_run("onnxruntime", 2.0))]
    found = compare_rungs(records, dataset_dir, "test", SETTINGS, QUICK.model_copy(update={"sessions": 3}))
    groups = [[(each.model, each.backend) for each in found.rungs if each.group == number] for number in range(3)]
    assert sorted(groups[0]) == [("teacher", "onnxruntime"), ("teacher", "openvino"), ("twin", "onnxruntime")]
    assert groups[1:] == [[("crosskd", "onnxruntime"), ("twin", "openvino")], [("crosskd", "openvino")]]
    assert len(found.groups) == 3


def test_a_rung_that_fails_now_is_told_with_its_reason(project: Path, dataset_dir: Path) -> None:
    write_broken_artefact(artefact_file("twin"))
    found = compare_rungs(RECORDS, dataset_dir, "test", SETTINGS, QUICK)
    assert {each.model for each in found.rungs} == {"teacher"}
    assert [(each.model, each.artefact, each.backend) for each in found.absent] == [
        ("twin", "fp32", "onnxruntime"),
        ("twin", "fp32", "openvino"),
    ]
    assert all("artefacts/twin.onnx" in each.reason for each in found.absent)


def test_without_a_teacher_the_first_model_is_the_reference(project: Path, dataset_dir: Path) -> None:
    found = compare_rungs(RECORDS[:1], dataset_dir, "test", SETTINGS, QUICK)
    assert [each.model for each in found.rungs] == ["twin", "twin"]
    assert found.rungs[0].times_as_fast == 1


def test_where_nothing_ran_there_is_nothing_to_compare(project: Path, dataset_dir: Path) -> None:
    found = compare_rungs(RECORDS[2:], dataset_dir, "test", SETTINGS, QUICK)
    assert (found.rungs, found.groups, found.absent) == ([], [], [])
