"""Scratch folders that outlive no process: what a kill leaves behind, the next scratch of the same name removes."""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SUFFIX = ".scratch"
_MADE = re.compile(rf"\.(?P<name>.+)\.[a-z0-9_]{{8}}{re.escape(_SUFFIX)}", re.DOTALL)
_LOCK = "lock"
_CONTENT = "content"
_OF_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def scratch_folder(name: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder that is removed when the block ends, or after a kill by the next call of its name.

    The folder is ``.<name>.<8 random characters>.scratch/content``. Beside it lies a file that this process holds a
    lock on: the kernel lets go of it when the process dies, however it dies, and no other process has its number.
    Where the file system knows no locks, nothing is ever removed but by the process that made it.

    Args:
        name: whose scratch it is; a part of a file name.
        parent: an existing folder; none is the system's one for temporary files.
    """
    parent = parent or Path(tempfile.gettempdir())
    _remove_abandoned(name, parent)
    root, lock = _owned(name, parent)
    try:
        (root / _CONTENT).mkdir()
        yield root / _CONTENT
    except OSError as error:
        name_write(error, parent)
        raise
    finally:
        _remove(root)
        os.close(lock)


def destination_of(path: Path) -> Path:
    """What a path in a scratch folder is to become: where the folder lies, by the name that it was made for."""
    for place, part in enumerate(path.parts):
        if made := _MADE.fullmatch(part):
            return Path(*path.parts[:place], made["name"])
    return path


def name_write(error: OSError, path: Path) -> None:
    """Give an error of a write the file or folder that was written: a write does not know its file's name."""
    if error.filename is None and error.errno in _OF_WRITES:
        error.filename = os.fspath(path)


def _owned(name: str, parent: Path) -> tuple[Path, int]:
    while True:
        root = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_SUFFIX, dir=parent))
        # Another process may take it for abandoned until the lock is held.
        with suppress(FileNotFoundError):
            # A lock on a shared file system needs a file that is open for writing.
            lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if (root / _LOCK).exists():
                return root, lock
            os.close(lock)


def _remove_abandoned(name: str, parent: Path) -> None:
    with os.scandir(parent) as entries:
        made = [(entry, _MADE.fullmatch(entry.name)) for entry in entries]
        found = [Path(entry) for entry, match in made if match and match["name"] == name and _is_own_folder(entry)]
    for root in found:
        try:
            lock = os.open(root / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            # Killed before there was a lock: nothing was in it yet.
            with suppress(OSError):
                root.rmdir()
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(root)
        except OSError:
            pass  # its owner is alive
        finally:
            os.close(lock)


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False


def _remove(root: Path) -> None:
    # The lock last: a kill in between must leave a folder that still counts as abandoned.
    shutil.rmtree(root / _CONTENT, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
