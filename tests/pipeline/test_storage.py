"""Atomic writes: old content or new content, never something between."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import fresh_directory, replace_atomic, sha256_of, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(content=st.binary(max_size=200))
def test_hash_equals_hashlib(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("hash") / "file"
    write_atomic(path, content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_hash_of_a_file_longer_than_a_chunk(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "long").write_bytes(content)
    assert sha256_of(tmp_path / "long") == hashlib.sha256(content).hexdigest()


def test_write_makes_the_folder_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_atomic(path, "first, and longer")
    write_atomic(path, "zweite, ä")
    assert path.read_text(encoding="utf-8") == "zweite, ä"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("crash", [ValueError, KeyboardInterrupt])
def test_a_crash_while_writing_keeps_the_old_file(tmp_path: Path, crash: type[BaseException]) -> None:
    path = tmp_path / "file.json"
    write_atomic(path, "old")

    def write(part: Path) -> None:
        assert part.suffix == ".json"
        part.write_text("half of the n")
        raise crash

    with pytest.raises(crash):
        replace_atomic(path, write)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.json"]


def test_text_that_cannot_be_encoded_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "lone surrogate \ud800")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_fresh_directory_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "data"
    for name in ("first", "second"):
        with fresh_directory(target) as scratch:
            assert names(scratch) == []
            (scratch / name).write_text(name)
    assert names(target) == ["second"]
    assert names(target.parent) == ["data"]
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("crash", [ValueError, KeyboardInterrupt])
def test_a_crash_inside_the_block_keeps_the_old_directory(tmp_path: Path, crash: type[BaseException]) -> None:
    target = tmp_path / "data"
    with fresh_directory(target) as scratch:
        (scratch / "old").write_text("old")

    def fill() -> None:
        with fresh_directory(target) as scratch:
            (scratch / "half").write_text("new")
            raise crash

    with pytest.raises(crash):
        fill()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["data"]


def test_a_crash_before_anything_existed_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with fresh_directory(tmp_path / "data") as scratch:
            (scratch / "half").write_text("new")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fill()
    assert names(tmp_path) == []


def replace_failing_on_call(number: int, error: type[BaseException]) -> Callable[[Path, Path], Path]:
    """``Path.replace`` that fails as if the process ended on its n-th call, and works before and after."""
    calls = count(1)
    real = Path.replace

    def replace(source: Path, target: Path) -> Path:
        if next(calls) == number:
            raise error
        return real(source, target)

    return replace


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_while_moving_keeps_the_old_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, error: type[BaseException]
) -> None:
    target = tmp_path / "data"
    with fresh_directory(target) as scratch:
        (scratch / "old").write_text("old")

    def replace_it() -> None:
        with fresh_directory(target) as scratch:
            (scratch / "new").write_text("new")

    monkeypatch.setattr(Path, "replace", replace_failing_on_call(call, error))
    with pytest.raises(error):
        replace_it()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["data"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_between_the_moves_loses_neither(tmp_path: Path, call: int) -> None:
    target = tmp_path / "data"
    with fresh_directory(target) as scratch:
        (scratch / "old").write_text("old")
    script = (
        "import os, sys\n"
        "from itertools import count\n"
        "from pathlib import Path\n"
        "from pipeline.storage import fresh_directory\n"
        "calls, real = count(1), Path.replace\n"
        f"Path.replace = lambda source, to: os._exit(9) if next(calls) == {call} else real(source, to)\n"
        "with fresh_directory(Path(sys.argv[1])) as scratch:\n"
        "    (scratch / 'new').write_text('new')\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, target], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    assert killed.returncode == 9
    assert (target if call == 1 else tmp_path / ".data.old").joinpath("old").read_text() == "old"

    def fail() -> None:
        with fresh_directory(target):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert names(target) == ["old"]
    with fresh_directory(target) as scratch:
        (scratch / "newer").write_text("newer")
    assert names(target) == ["newer"]
    assert not (tmp_path / ".data.old").exists()


def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was flushed and of what files were renamed to, in their order."""
    happened: list[str] = []
    flush, rename = os.fsync, Path.replace

    def record_flush(handle: int) -> None:
        happened.append(f"flushed {Path(f'/proc/self/fd/{handle}').readlink().name}")
        flush(handle)

    def record_rename(source: Path, target: Path) -> Path:
        happened.append(f"renamed to {target.name}")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", record_flush)
    monkeypatch.setattr(Path, "replace", record_rename)
    return happened


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened = flushed(monkeypatch)
    write_atomic(tmp_path / "x.json", "{}")
    assert happened == ["flushed x.json", "renamed to x.json", f"flushed {tmp_path.name}"]


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened = flushed(monkeypatch)
    with fresh_directory(tmp_path / "out") as scratch:
        (scratch / "inner").mkdir()
        (scratch / "inner/a").write_text("a")
        (scratch / "link").symlink_to("nowhere")
    assert happened[-2:] == ["renamed to out", f"flushed {tmp_path.name}"]
    assert {"flushed inner", "flushed a", "flushed content"} == set(happened[:-2])
