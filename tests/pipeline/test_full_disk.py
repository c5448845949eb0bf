"""A disk on which nothing more fits: every writer says so in the project's own words, and earlier results stay.

A limit on the size of a file stands for the disk, because anybody may set one; root gets a small disk too.
"""

import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from deploy.runtime.commands import system_error
from deploy.runtime.scratch import scratch_folder
from pipeline.checkpoints import save_weights
from pipeline.records import Interval
from pipeline.storage import fresh_directory, replace_atomic, write_atomic
from pipeline.training.fingerprint import store
from pipeline.training.log import TrainingLog

LIMIT = 20_000


@contextmanager
def small_files() -> Iterator[None]:
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, earlier[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
        signal.signal(signal.SIGXFSZ, handler)


def fill(folder: Path) -> None:
    with fresh_directory(folder) as scratch:
        (scratch / "small.txt").write_text("new")
        (scratch / "large.bin").write_bytes(bytes(2 * LIMIT))


def checkpoint(path: Path) -> None:
    from mmengine.fileio import LocalBackend

    content = bytes(2 * LIMIT)
    replace_atomic(path, lambda part: LocalBackend().put(content, part))


def text(path: Path) -> None:
    write_atomic(path, "new" * LIMIT)


def content(path: Path) -> None:
    write_atomic(path, bytes(2 * LIMIT))


def weights(path: Path) -> None:
    save_weights(path, {"a": torch.zeros(LIMIT)}, {})


def model(path: Path) -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(LIMIT, np.float32), "a")
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    replace_atomic(path, lambda part: onnx.save(onnx.helper.make_model(graph), part))


def record(path: Path) -> None:
    class Long(Interval):
        text: str

    Long(low=0, high=1, confidence=0.9, text="a" * 2 * LIMIT).write(path)


def fingerprint(path: Path) -> None:
    store(path.parent, {"recipe": "a" * 2 * LIMIT})


WRITERS: dict[str, Callable[[Path], None]] = {
    "notes.txt": text,
    "notes.bin": content,
    "weights.safetensors": weights,
    "resume.pth": checkpoint,
    "student.onnx": model,
    "interval.json": record,
    "fingerprint.json": fingerprint,
}


@pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=WRITERS)
def test_a_file_that_does_not_fit_is_named_and_the_earlier_one_stays(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    path = tmp_path / name
    path.write_bytes(b"earlier")
    with small_files(), pytest.raises(OSError, match="File too large") as caught:
        write(path)
    assert system_error(caught.value).startswith(f"{path}: the file is larger than one may be here; ")
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_folder_that_does_not_fit_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "small.txt").write_text("earlier")
    with small_files(), pytest.raises(OSError, match="File too large") as caught:
        fill(folder)
    assert system_error(caught.value).startswith(f"{folder}: ")
    assert [(entry.name, entry.read_text()) for entry in folder.iterdir()] == [("small.txt", "earlier")]
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_a_log_that_does_not_fit_keeps_its_whole_lines(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    log.append({"iteration": 1, "seconds": 1.0})
    with small_files(), pytest.raises(OSError, match="File too large") as caught:
        log.append({"iteration": 2, "seconds": 2.0, "text": "a" * 2 * LIMIT})
    assert system_error(caught.value).startswith(f"{log.path}: ")
    assert log.entries() == [{"iteration": 1, "seconds": 1.0}]


def test_scratch_that_does_not_fit_names_its_folder(tmp_path: Path) -> None:
    with (
        small_files(),
        pytest.raises(OSError, match="File too large") as caught,
        scratch_folder("work", tmp_path) as path,
    ):
        (path / "a").write_bytes(bytes(2 * LIMIT))
    assert system_error(caught.value).startswith(f"{tmp_path}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB with an earlier result on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=False)
    if made.returncode:
        pytest.skip("only root may make a disk")
    (disk / "report.md").write_text("earlier")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_of_a_full_disk_it_is_told_how_much_is_free(small_disk: Path) -> None:
    path = small_disk / "report.md"
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomic(path, bytes(1 << 20))
    told = system_error(caught.value)
    assert told.startswith(
        f"{path}: no space is left on the disk (0 MB of 0 MB are free on the disk of {small_disk}); "
    )
    assert path.read_text() == "earlier"
    assert [entry.name for entry in small_disk.iterdir()] == ["report.md"]


@pytest.mark.parametrize("write", [text, fill], ids=["file", "folder"])
def test_a_read_only_disk_is_told(small_disk: Path, write: Callable[[Path], None]) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="Read-only") as caught:
        write(small_disk / "report.md")
    told = system_error(caught.value)
    assert told.startswith(f"{small_disk / 'report.md'}: the file system is read-only; mount it for writing")
    assert (small_disk / "report.md").read_text() == "earlier"
