"""Trackers: what TensorBoard and DVCLive hold after a training, and what is refused or left out."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest
from mmengine.visualization.vis_backend import BaseVisBackend
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.errors import SettingsError
from pipeline.recipes import Recipe
from pipeline.records import DatasetRecord
from pipeline.settings import Tracker, TrainSettings
from pipeline.training import TrainingJob, train
from pipeline.training.fingerprint import digits, store
from pipeline.training.tracking import Trackers, check_installed, scalars_of
from pipeline.training.tracking_backends import backend_of
from tests.pipeline.training.interruption import FailAt

ROOT = Path(__file__).parents[3]
Squares = tuple[DatasetRecord, Path]
Curves = dict[str, list[tuple[int, float]]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project under git without a user's name, as a fresh container has it."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STUDIO_TOKEN", "DVC_ROOT", "DVCLIVE_RESUME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    name = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", *name, "commit", "--quiet", "--allow-empty", "--message", "first"], check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("")
    (tmp_path / ".dvc" / "mine").write_text("not to be lost")
    (tmp_path / ".gitignore").write_text("/tracking/\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


def in_tensorboard(run: str) -> Curves:
    accumulator = EventAccumulator(f"tracking/tensorboard/{run}")
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]
    }


def in_dvclive(run: str) -> Curves:
    root = Path("tracking/dvclive") / run / "plots" / "metrics"
    rows = {
        path.relative_to(root).with_suffix("").as_posix(): [line.split("\t") for line in path.read_text().splitlines()]
        for path in root.rglob("*.tsv")
    }
    return {name: [(int(step), float(value)) for step, value in lines[1:]] for name, lines in rows.items()}


def test_tensorboard_and_dvclive_hold_the_log_of_a_training_that_was_killed(
    make_recipe: Callable[..., Recipe],
    squares: Squares,
    settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    recipe = make_recipe("model")
    project = request.getfixturevalue("project")  # after the recipe, whose files lie below the former folder
    listed = sorted(path.name for path in project.iterdir() if path.name != ".git")
    tracked = settings.model_copy(update={"trackers": ["tensorboard", "dvclive"]})
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.distillers.distiller.Distiller.iteration", FailAt(6), raising=False)
        with pytest.raises(KeyboardInterrupt):  # after the checkpoint of iteration 4 and the log line of 5
            train(TrainingJob(recipe, *squares, tracked), project / "model.safetensors")
    job = TrainingJob(recipe, *squares, tracked)
    run = f"model-{digits(job.work_dir)}"
    assert [step for step, _ in in_tensorboard(run)["train/loss"]] == [1, 2, 3, 4, 5]
    record = train(job, project / "model.safetensors")
    assert record.resumed == 1
    expected = {
        f"train/{name}": [(p.iteration, p.losses[name]) for p in record.points] for name in record.points[0].losses
    }
    expected["train/learning_rate"] = [(point.iteration, point.learning_rate) for point in record.points]
    expected["val/ap"] = [(point.iteration, point.ap) for point in record.validation if point.ap is not None]
    for curves in (in_tensorboard(run), in_dvclive(run)):
        assert {*curves} == {name for name, values in expected.items() if values}
        for name, values in curves.items():
            assert [step for step, _ in values] == [step for step, _ in expected[name]]
            assert [value for _, value in values] == pytest.approx([value for _, value in expected[name]], rel=1e-6)
    summary = json.loads((project / "tracking/dvclive" / run / "metrics.json").read_text())
    assert summary["step"] == 6
    assert summary["train"]["loss"] == pytest.approx(record.points[-1].losses["loss"])
    # Nothing but its own folder: no experiment, no pipeline, nothing for git, and the project's own DVC is whole.
    new = {path.name for path in project.iterdir() if path.name != ".git"} - {*listed}
    assert new == {"tracking", "work_dirs", "model.safetensors"}
    assert (project / "dvc.yaml").read_text() == "stages: {}\n"
    assert (project / ".dvc" / "mine").read_text() == "not to be lost"
    assert not [*project.rglob("?*.dvc"), *Path("tracking").rglob("dvc.yaml")]
    refs = subprocess.run(["git", "for-each-ref"], capture_output=True, text=True, check=True).stdout
    staged = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    assert (len(refs.splitlines()), staged) == (1, "")


def log_entry(iteration: int, **values: object) -> dict[str, object]:
    return {"iteration": iteration, "seconds": 1.0, **values}


def test_numbers_of_a_log_entry() -> None:
    assert scalars_of(log_entry(1, learning_rate=0.1, losses={"loss": 2.0, "loss_cls": 1.5})) == {
        "train/loss": 2.0,
        "train/loss_cls": 1.5,
        "train/learning_rate": 0.1,
    }
    assert scalars_of(log_entry(2, val_ap=31.5, planned_iterations=9)) == {"val/ap": 31.5}
    assert scalars_of(log_entry(2, val_ap=None)) == scalars_of(log_entry(2, resumed=True)) == {}


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow", "wandb", "dvclive"])
def test_a_package_that_is_missing_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str
) -> None:
    (tmp_path / tracker).mkdir()  # of a run's files, which Python would take for a package
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, tracker, raising=False)
    with pytest.raises(SettingsError, match=rf"train\.trackers has '{tracker}', .* -m pip install {tracker}`\)"):
        check_installed([tracker])  # type: ignore[list-item]


def test_it_is_missed_before_anything_is_trained(
    make_recipe: Callable[..., Recipe], squares: Squares, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    monkeypatch.setattr("pipeline.training.tracking.find_spec", lambda name: None)
    job = TrainingJob(make_recipe("model"), *squares, TrainSettings(device="cpu", trackers=["wandb"]))
    with pytest.raises(SettingsError, match=r"install it \(`.*python.* -m pip install wandb`\)"):
        train(job, tmp_path / "model.safetensors")
    assert not (tmp_path / "work_dirs").exists()


def test_a_tracker_that_cannot_begin_is_an_error_before_the_first_step(project: Path) -> None:
    store(project / "work", {"recipe": "a"})
    (project / "tracking").mkdir()
    (project / "tracking" / "tensorboard").write_text("no folder")
    trackers = Trackers(["tensorboard"], "model", project / "work")
    with pytest.raises(SettingsError, match=r"has 'tensorboard', which cannot begin: .*docs/training"):
        trackers.begin([])


def test_a_tracker_finds_nobody_to_ask(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asking(BaseVisBackend):
        def _init_env(self) -> None: ...

        @property
        def experiment(self) -> None:
            assert not sys.stdin.isatty()
            input("Enter your choice: ")

    monkeypatch.setattr("pipeline.training.tracking.backend_of", lambda *_: Asking("unused"))
    monkeypatch.setattr("sys.stdin", _Terminal("1\n"))
    store(project / "work", {"recipe": "a"})
    with pytest.raises(SettingsError, match="'wandb', which cannot begin: EOF"):
        Trackers(["wandb"], "model", project / "work").begin([])
    assert sys.stdin.read() == "1\n"


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_tracker_that_fails_later_is_left_out_and_the_other_goes_on(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(project / "work", {"recipe": "a"})
    run = f"model-{digits(project / 'work')}"
    trackers = Trackers(["dvclive", "tensorboard"], "model", project / "work")
    trackers.begin([])
    metrics = project / "tracking" / "dvclive" / run / "plots"
    metrics.write_text("no folder")
    for iteration in (1, 2):
        trackers.add(log_entry(iteration, learning_rate=0.1, losses={"loss": 1.0}))
    trackers.close()
    told = [record.getMessage() for record in caplog.records if record.name == "pipeline.training.tracking"]
    assert [text.partition(":")[0] for text in told] == ["model"]
    assert "dvclive has failed and gets nothing more" in told[0]
    assert in_tensorboard(run)["train/loss"] == [(1, 1.0), (2, 1.0)]


def test_runs_of_a_server_are_named_by_model_and_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    wandb, mlflow = (vars(backend_of(name, "twin", "twin-0a1b2c3d")) for name in ("wandb", "mlflow"))
    named = {"project": "detector-distillation", "group": "twin", "name": "twin-0a1b2c3d", "id": "twin-0a1b2c3d"}
    assert wandb["_init_kwargs"] == {**named, "resume": "allow"}
    assert wandb["_save_dir"] == str(tmp_path / "tracking")
    assert (mlflow["_exp_name"], mlflow["_name"]) == ("detector-distillation", "twin-0a1b2c3d")
    assert mlflow["_tracking_uri"] == f"sqlite:///{tmp_path}/tracking/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert vars(backend_of("mlflow", "twin", "twin-0a1b2c3d"))["_tracking_uri"] == "http://localhost:5000"
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("listed", [["mlflow", "mlflow"], ["tensorbord"]])
def test_settings_refuse_unknown_trackers_and_one_listed_twice(listed: list[str]) -> None:
    with pytest.raises(ValidationError, match=r"mlflow is listed twice|'mlflow', 'wandb' or 'dvclive'"):
        TrainSettings(trackers=listed)  # type: ignore[arg-type]


def test_every_tracker_is_an_extra_of_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for tracker in get_args(Tracker):
        assert [entry.partition(">=")[0] for entry in extras[tracker]] == [tracker]
