"""What a training may go on from: no damaged file, and no directory that another process trains in."""

import os
import random
import shutil
import signal
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from pipeline.checkpoints import save_weights
from pipeline.errors import TrainingError
from pipeline.training.fingerprint import FILE_NAME as FINGERPRINT
from pipeline.training.fingerprint import changed_parts
from pipeline.training.resumption import BEST_FILE, RESUME_FILE, claim, damage_of, finish, is_sealed, seal

STATE = {
    "state_dict": {"weight": torch.arange(4096, dtype=torch.float32)},
    "optimizer": {"state": {0: {"exp_avg": torch.zeros(5000)}}},
    "meta": {"iter": 4},
}


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A work directory as a kill after the first validation leaves it; the log's last line is cut short."""
    folder = tmp_path / "student"
    folder.mkdir()
    torch.save(STATE, folder / RESUME_FILE)
    seal(folder / RESUME_FILE)
    save_weights(folder / BEST_FILE, {"weight": torch.arange(512, dtype=torch.float32)}, {"iteration": "4"})
    lines = ['{"iteration": 4, "seconds": 1.5, "val_ap": 20.0, "planned_iterations": 9}', '{"iteration": 6, "sec']
    (folder / "log.jsonl").write_text("\n".join(lines))
    return folder


def test_a_sealed_checkpoint_is_read_as_before(work_dir: Path) -> None:
    path = work_dir / RESUME_FILE
    assert is_sealed(path)
    for mapped in (False, True):
        found = torch.load(path, weights_only=True, mmap=mapped)
        assert torch.equal(found["state_dict"]["weight"], STATE["state_dict"]["weight"])  # type: ignore[call-overload]
        assert found["meta"] == {"iter": 4}
    assert damage_of(work_dir) == ""


@pytest.mark.parametrize("name", [RESUME_FILE, BEST_FILE])
def test_no_flipped_bit_is_gone_on_with(work_dir: Path, name: str) -> None:
    path = work_dir / name
    whole, chance = path.read_bytes(), random.Random(0)
    places = [chance.randrange(len(whole)) for _ in range(200)]
    # Every byte of the seal, of the end record before it, and of the header's beginning.
    places += [*range(len(whole) - 100, len(whole)), *range(64)]
    taken = []
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        if not damage_of(work_dir):
            taken.append(place)
    assert taken == []


@pytest.mark.parametrize("name", [RESUME_FILE, BEST_FILE])
@pytest.mark.parametrize("size", [1, 16, 512, 4096])
def test_no_zeroed_block_is_gone_on_with(work_dir: Path, name: str, size: int) -> None:
    path = work_dir / name
    whole = path.read_bytes()
    for start in range(0, len(whole), max(1, len(whole) // 20)):
        damaged = bytearray(whole)
        damaged[start : start + size] = bytes(len(damaged[start : start + size]))
        path.write_bytes(damaged)
        assert bytes(damaged) == whole or damage_of(work_dir), start


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"not a checkpoint" * 100, b"\0" * 5000], ids=["empty", "short", "text", "zeros"]
)
@pytest.mark.parametrize("name", [RESUME_FILE, BEST_FILE])
def test_foreign_content_is_not_gone_on_with(work_dir: Path, name: str, content: bytes) -> None:
    (work_dir / name).write_bytes(content)
    assert damage_of(work_dir).startswith(str(work_dir / name))


def test_a_checkpoint_without_a_seal_is_not_gone_on_with(work_dir: Path) -> None:
    torch.save(STATE, work_dir / RESUME_FILE)
    assert damage_of(work_dir) == f"{work_dir / RESUME_FILE} is damaged"


@pytest.mark.parametrize("name", [RESUME_FILE, BEST_FILE])
@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_is_none_is_not_gone_on_with(work_dir: Path, name: str, kind: str) -> None:
    (work_dir / name).unlink()
    if kind == "folder":
        (work_dir / name).mkdir()
    assert damage_of(work_dir).startswith(str(work_dir / name))


@pytest.mark.parametrize(
    "text",
    [
        b'{"iteration": 2, "sec\n{"iteration": 4, "seconds": 1.5}\n',
        b'[1, 2]\n{"iteration": 4, "seconds": 1.5}\n',
        b'{"iteration": 4}\n',
        b"\xff\xfe\n",
        b'{"iteration": "x", "seconds": 1, "val_ap": []}\n',
        b'{"iteration": 4, "seconds": 1, "val_ap": 20.0}\n',
        b'{"iteration": 4, "seconds": 1, "val_ap": 20.0, "planned_iterations": [9]}\n',
        b'{"iteration": 4, "seconds": null}\n',
        b'{"iteration": 4, "seconds": {}}\n',
        b'{"iteration": 4, "seconds": NaN}\n',
        b'{"iteration": 4, "seconds": -1}\n',
        b'{"iteration": "4", "seconds": 1}\n',
        b'{"iteration": true, "seconds": 1}\n',
        b'{"iteration": [4], "seconds": 1}\n',
        b'{"iteration": 1' + b"0" * 400 + b', "seconds": 1}\n',
        b"[" * 100_000 + b"\n",
        b'{"a":' * 100_000 + b"\n",
    ],
    ids=range(17),
)
def test_a_damaged_log_is_not_gone_on_with(work_dir: Path, text: bytes) -> None:
    (work_dir / "log.jsonl").write_bytes(text)
    assert damage_of(work_dir) == f"{work_dir / 'log.jsonl'} is damaged"


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[" * 100_000, b"[]", b"7", b"1" + b"0" * 5000], ids=range(7))
def test_a_fingerprint_that_is_none_says_so_and_stops_nothing(work_dir: Path, content: bytes | None) -> None:
    if content is not None:
        (work_dir / FINGERPRINT).write_bytes(content)
    assert changed_parts(work_dir, {"recipe": "a"}) is None


def test_before_the_first_validation_there_are_no_best_weights_to_check(work_dir: Path) -> None:
    (work_dir / BEST_FILE).unlink()
    (work_dir / "log.jsonl").write_text('{"iteration": 4, "seconds": 1.5}\n')
    assert damage_of(work_dir) == ""


def test_sealing_what_is_no_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="no ZIP archive"):
        seal(path)
    torch.save(STATE, path)
    seal(path)
    with pytest.raises(ValueError, match="without a comment"):
        seal(path)


class OtherProcess:
    """A process beside this one, which claims a directory when it is told to; forked while there is no claim yet."""

    def __init__(self, work_dir: Path, then_dies: bool = False) -> None:
        context = get_context("fork")
        self._here, there = context.Pipe()
        self.process = context.Process(target=self._serve, args=(there, work_dir, then_dies), daemon=True)
        self.process.start()
        there.close()

    @staticmethod
    def _serve(connection: Connection, work_dir: Path, then_dies: bool) -> None:
        connection.recv()
        try:
            claim(work_dir)
            if then_dies:
                os.kill(os.getpid(), signal.SIGKILL)
            connection.send("claimed")
        except TrainingError as error:
            connection.send(str(error))

    def claims(self) -> str:
        """What comes of it; nothing where it dies of it."""
        self._here.send("now")
        try:
            said: str = self._here.recv()
        except EOFError:
            said = ""
        self.process.join()
        return said


def test_one_process_at_a_time_trains_in_a_directory(work_dir: Path) -> None:
    early, late = OtherProcess(work_dir), OtherProcess(work_dir)
    claim(work_dir)
    claim(work_dir)  # the same process again
    assert f"another process trains student (pid {os.getpid()}); wait until it is done" in early.claims()
    finish(work_dir)
    assert not work_dir.exists()
    assert late.claims() == "claimed"


def test_a_killed_process_holds_nothing(work_dir: Path) -> None:
    other = OtherProcess(work_dir, then_dies=True)
    assert other.claims() == ""
    assert other.process.exitcode == -signal.SIGKILL
    claim(work_dir)
    finish(work_dir)


def test_a_planted_link_is_not_written_through(work_dir: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (work_dir.parent / ".student.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        claim(work_dir)
    assert victim.read_text() == "precious"


def test_a_link_in_the_place_of_a_directory_is_removed_and_not_followed(work_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(work_dir, elsewhere)
    work_dir.symlink_to(elsewhere)
    finish(work_dir)
    assert not work_dir.is_symlink()
    assert (elsewhere / RESUME_FILE).exists()


def test_a_training_that_another_process_does_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(BlockingIOError()))
    with pytest.raises(TrainingError, match="another process trains student"):
        claim(tmp_path / "student")
