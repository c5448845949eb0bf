"""Atomic writes and content hashes: neither a killed stage nor a power cut leaves a half-written result."""

import csv
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.runtime.regular_files import open_regular
from deploy.runtime.scratch import name_write, scratch_folder


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal; raises ``OSError``, also for what is no regular file."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write ``content`` so that ``path`` holds either the old content or all of the new one."""

    def write(part: Path) -> None:
        if isinstance(content, str):
            part.write_text(content, encoding="utf-8")
        else:
            part.write_bytes(content)

    replace_atomic(path, write)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as :func:`write_atomic` writes, a line a row."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomic(path, buffer.getvalue())


def replace_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, and move it there in one step once it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path.name, path.parent) as scratch:
        part = scratch / path.name
        with _naming(path):
            write(part)
            part.chmod(0o644)
            _flush(part)
            part.replace(path)
            _flush(path.parent)


@contextmanager
def fresh_directory(path: Path) -> Iterator[Path]:
    """Yield an empty scratch directory that replaces ``path`` when the block ends without an error.

    On an error the scratch directory is removed and an earlier ``path`` stays as it was. A directory cannot be replaced
    in one step: the earlier one is set aside as ``.<name>.old`` first, and taken back by the next call if a kill fell
    between the two moves.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.old")
    _take_back(path, aside)
    with scratch_folder(path.name, path.parent) as scratch:
        try:
            with _naming(path):
                yield scratch
                scratch.chmod(0o755)
                for entry in [*scratch.rglob("*"), scratch]:
                    _flush(entry)
                if path.exists():
                    path.replace(aside)
                scratch.replace(path)
                _flush(path.parent)
        finally:
            _take_back(path, aside)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name_write(error, path)
        raise


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: else a power cut leaves a renamed file empty."""
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError:
        # Some file systems flush no folders; a file that cannot be flushed is not written.
        if path.is_file():
            raise
    finally:
        os.close(handle)


def _take_back(path: Path, aside: Path) -> None:
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.exists():
        aside.replace(path)
