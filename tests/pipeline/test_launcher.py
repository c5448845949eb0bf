"""Starting processes: who takes part, what a failure says, and that nobody is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pipeline.errors import SettingsError, TrainingError
from pipeline.launcher import is_first_process, launch
from pipeline.settings import TrainSettings
from tests.pipeline.launched import add_up, fail_in_one

PLACE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
SLURM = {
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "1",
    "SLURM_JOB_ID": "4017",
    "SLURM_JOB_NODELIST": "node[07-08]",
}


@pytest.fixture(autouse=True)
def _no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PLACE, *SLURM):
        # Set first, so that what a test leaves there is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def settings(**more: object) -> TrainSettings:
    return TrainSettings.model_validate({"device": "cpu", "launcher": "pytorch", **more})


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def start(settings: TrainSettings, work: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.launched", settings.model_dump_json(), work, folder],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors


def test_two_processes_take_part_and_share_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    launch(settings(processes=2), add_up, tmp_path)
    threads = max(1, torch.get_num_threads() // 2)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == [f"3 gloo {threads}"] * 2
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("expected", [True, False])
def test_a_process_that_fails_ends_the_others_and_its_message_arrives(expected: bool) -> None:
    with pytest.raises(TrainingError) as caught:
        launch(settings(processes=2), fail_in_one, "rung: 7 is wrong", expected)
    text = str(caught.value)
    if expected:
        assert text == "process 1: rung: 7 is wrong"
    else:
        assert text.startswith("process 1: ValueError: rung: 7 is wrong\nTraceback")
        assert "in fail_in_one" in text


def test_two_machines_meet(tmp_path: Path) -> None:
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    both = settings(processes=1, nodes=2)
    finish(*(start(both, "add_up", tmp_path, **meeting, NODE_RANK=str(node)) for node in (1, 0)))
    assert [(tmp_path / f"{rank}.txt").read_text()[:6] for rank in (0, 1)] == ["3 gloo"] * 2


def test_the_tasks_of_srun_meet(tmp_path: Path) -> None:
    meeting = {**SLURM, "SLURM_NTASKS": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    tasks = [meeting | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in ("0", "1")]
    finish(*(start(settings(launcher="slurm"), "add_up", tmp_path, **task) for task in tasks))
    assert [(tmp_path / f"{rank}.txt").read_text()[:6] for rank in (0, 1)] == ["3 gloo"] * 2
    assert {path.name for path in tmp_path.glob("first_*")} == {"first_True", "first_False"}


def test_a_killed_stage_leaves_no_process_behind(tmp_path: Path) -> None:
    stage = start(settings(processes=2), "linger", tmp_path)
    said = [tmp_path / f"{rank}.pid" for rank in (0, 1)]
    deadline = time.monotonic() + 300
    while not all(path.exists() and path.read_text() for path in said):
        assert stage.poll() is None, stage.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stage.send_signal(signal.SIGKILL)
    stage.wait()
    workers = [int(path.read_text()) for path in said]
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlives its stage"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("launcher", ["none", "pytorch"])
def test_a_single_process_is_this_one(launcher: str) -> None:
    # Nothing local can be pickled, so it was not sent anywhere.
    seen: list[str] = []
    launch(settings(launcher=launcher), lambda word: seen.append(word), "here")
    assert seen == ["here"]


@pytest.mark.parametrize("launcher", ["pytorch", "slurm"])
def test_a_single_task_that_a_launcher_started_is_this_one(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"RANK": "0", "WORLD_SIZE": "1", **SLURM, "MASTER_ADDR": "here"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    seen: list[str] = []
    launch(settings(launcher=launcher), lambda word: seen.append(word), "here")
    assert seen == ["here"]


def test_torchrun_without_a_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SettingsError, match=r"train\.launcher is 'none'.* one of 4 processes.*'pytorch'"):
        launch(settings(launcher="none"), pytest.fail, "trains")


def test_several_machines_need_an_address_and_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_RANK", "0")
    with pytest.raises(SettingsError, match=r"train\.nodes is 2, and the environment lacks MASTER_ADDR:"):
        launch(settings(nodes=2), pytest.fail, "trains")


def test_slurm_outside_srun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with pytest.raises(SettingsError, match="lacks SLURM_PROCID, SLURM_LOCALID, SLURM_NTASKS, SLURM_JOB_NODELIST"):
        launch(settings(launcher="slurm"), pytest.fail, "trains")


def test_slurm_names_the_first_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[07-08]" ] && printf "node07\\nnode08\\n"\n')
    for name, value in (SLURM | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"show hostnames node\[07-08\]` names no machine; set MASTER_ADDR"):
        launch(settings(launcher="slurm"), print)
    scontrol.chmod(0o755)
    launch(settings(launcher="slurm"), print)
    assert {name: os.environ[name] for name in PLACE[:5]} == {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "node07",
        "MASTER_PORT": "29517",
    }


@pytest.mark.parametrize(
    ("launcher", "name", "rank", "first"),
    [
        ("none", "RANK", "1", True),
        ("pytorch", "RANK", "1", False),
        ("pytorch", "RANK", "0", True),
        ("pytorch", "SLURM_PROCID", "3", True),
        ("slurm", "SLURM_PROCID", "3", False),
    ],
)
def test_one_process_is_the_first(
    launcher: str, name: str, rank: str, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, rank)
    assert is_first_process(settings(launcher=launcher)) is first
