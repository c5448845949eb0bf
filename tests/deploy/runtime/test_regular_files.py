"""What is no regular file is refused at once, and said what it is."""

import errno
import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from deploy.runtime.regular_files import check_regular, is_regular, open_regular, read_regular


@pytest.fixture
def odd(tmp_path: Path) -> dict[str, Path]:
    """One of each kind that is no regular file and that a test may make."""
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.png"))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to("pipe.png")
    return {
        "a named pipe (FIFO), not a regular file": tmp_path / "pipe.png",
        "a socket, not a regular file": tmp_path / "socket.png",
        "Is a directory": tmp_path / "folder.png",
        "a device, not a regular file": Path("/dev/zero"),
        "(FIFO)": tmp_path / "link.png",
    }


def test_nothing_waits_and_each_kind_is_named(odd: dict[str, Path]) -> None:
    for said, path in odd.items():
        assert not is_regular(path)
        for read in (check_regular, open_regular, read_regular):
            with pytest.raises(OSError, match=r"not a|Is a") as error:
                read(path)
            assert said in str(error.value.strerror)
            assert error.value.filename == str(path)


def test_a_regular_file_is_read_whole_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "b") == read_regular(str(tmp_path / "a"), most=7) == b"content"
    assert is_regular(tmp_path / "b")


def test_a_file_beyond_its_bound_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(OSError, match="more than 1,000 bytes are not read") as error:
        read_regular(tmp_path / "sparse", most=1000)
    assert error.value.errno == errno.EFBIG


def test_a_file_that_grows_while_it_is_read_is_bounded_too() -> None:
    # The kernel says 0 bytes of these.
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_regular("/proc/self/status", most=10)


def test_what_is_not_there_is_told_as_usual(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
    for impossible in ("a\0b", "\udfff\ud800"):
        with pytest.raises(OSError, match=r"null|encode") as error:
            open_regular(impossible)
        assert error.value.errno == errno.EINVAL


def test_a_bound_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    tracemalloc.start()
    try:
        assert read_regular(tmp_path / "small", most=1 << 40) == b"x"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
