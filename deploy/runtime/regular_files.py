"""Files are opened here where a path comes from outside: what is no regular file is refused without waiting for it.

Opening a named pipe waits for its other end, for ever where there is none; a device such as ``/dev/zero`` has no end.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_CHUNK = 1 << 16
_CURE = "not a regular file; copy its content into one and name that"


def check_regular(path: str | os.PathLike[str]) -> os.stat_result:
    """Return what the system says of a regular file, links followed, without opening it.

    Raises:
        OSError: there is none, it is something else, or no system call takes the path (a NUL in it); ``strerror`` says
            what.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 (a str need not become a Path)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from error
    return _checked(found, path)


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading bytes. Raises as :func:`check_regular`."""
    check_regular(path)
    # Between the two looks the file may have been replaced by a pipe, so the opening does not wait either.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        _checked(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Raises:
        OSError: as :func:`check_regular`, or the file is larger (``EFBIG``).
    """
    with open_regular(path) as stream:
        if most is None:
            return stream.read()
        size = os.fstat(stream.fileno()).st_size
        # Python takes the memory that read is given as a number, so it is the file's and not the bound's.
        content = stream.read(size) if size <= most else None
        while content is not None and (more := stream.read(_CHUNK)):
            content = content + more if len(content) + len(more) <= most else None
    if content is None:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes are not read", os.fspath(path))
    return content


def is_regular(path: Path) -> bool:
    """Whether there is a regular file, links followed."""
    try:
        check_regular(path)
    except OSError:
        return False
    return True


def _checked(found: os.stat_result, path: str | os.PathLike[str]) -> os.stat_result:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"{_KINDS.get(kind, 'of an unknown kind')}, {_CURE}", os.fspath(path))
    return found
