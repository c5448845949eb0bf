"""One process at a time: a lock that the kernel lets go of when its process dies, however it dies."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self


class Locked(Exception):
    """Another process holds the lock; the message is its process id, as far as it is known."""


class FileLock:
    """Holds a file for this process until it is released or the process ends.

    Where the file system knows no locks, nothing is ever refused. A link in the place of the file is not followed.

    Args:
        path: the file; it is made, and removed on release. Its folder exists.

    Raises:
        Locked: another process, or another lock of this one, holds it.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._handle = self._held()
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let another process have it; a second call does nothing."""
        if self._handle < 0:
            return
        with suppress(OSError):
            self._path.unlink()
        os.close(self._handle)
        self._handle = -1

    def _held(self) -> int:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(handle, 32, 0).decode(errors="replace")
                os.close(handle)
                raise Locked(owner or "unknown") from None
            except OSError:
                return handle
            if self._is_still_there(handle):
                return handle
            # Its owner removed it between the two calls.
            os.close(handle)

    def _is_still_there(self, handle: int) -> bool:
        try:
            found = self._path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(handle))
