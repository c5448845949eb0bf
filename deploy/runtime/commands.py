"""How every command ends: what a user can cure is one message and exit status 1, Ctrl-C one line and 130.

A bug keeps its traceback, in characters that a terminal only shows. What a system call says (a full disk, a read-only
folder) is the user's to cure, whichever line of the program it came through: it is told here, for all of them.
"""

import errno
import functools
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from deploy.runtime.printable import show_error, visible
from deploy.runtime.scratch import destination_of

Main = Callable[[Sequence[str] | None], None]

INTERRUPTED = 128 + 2
"""Exit status after Ctrl-C, as shells have it."""
_SPACE = "free some, or point the command at another disk"
_ALLOWED = "give this user the right to it, or choose another place"
_CURES = {
    errno.ENOSPC: ("no space is left on the disk", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: ("the file is larger than one may be here", "raise the limit (ulimit -f), or choose another disk"),
    errno.EROFS: ("the file system is read-only", "mount it for writing, or choose another place"),
    errno.EACCES: ("permission denied", _ALLOWED),
    errno.EPERM: ("not permitted", _ALLOWED),
    errno.EIO: ("the disk reports an error", "look at the system's log (dmesg); the disk may be failing"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many files are open on this machine", "end other programs"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
    errno.ELOOP: ("there is a symbolic link in its place", "remove the link, or choose another place"),
}
_READER_GONE = 128 + 13
_NO_TEMPORARY_FOLDER = "No usable temporary directory"  # tempfile's own words, of an error without a path
_FULL = (errno.ENOSPC, errno.EDQUOT)


def command(*expected: type[Exception]) -> Callable[[Main], Callable[..., None]]:
    """Wrap a command's ``main(argv)``: the ``expected`` errors and those of the system end it without a traceback."""

    def wrap(main: Main) -> Callable[..., None]:
        @functools.wraps(main)
        def run(argv: Sequence[str] | None = None) -> None:
            sys.excepthook = show_error
            try:
                main(argv)
                sys.stdout.flush()
            except BrokenPipeError:
                _leave_quietly()
            except expected as error:
                sys.exit(f"\nerror: {visible(str(error))}\n")
            except KeyboardInterrupt:
                sys.stderr.write("\ninterrupted\n")
                sys.exit(INTERRUPTED)
            except OSError as error:
                if not (told := system_error(error)):
                    raise
                sys.exit(f"\nerror: {visible(told)}\n")

        return run

    return wrap


def announce_interrupts() -> None:
    """Say in one line that a command was interrupted while it was still loading; to be called by its package.

    Python names the program ``-m`` while it imports the package of ``python -m package.command``. Elsewhere this does
    nothing: what an interrupt is to another program is not ours to say.
    """
    if sys.argv[:1] != ["-m"]:
        return
    earlier = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.stderr.write("\ninterrupted\n")
        else:
            earlier(kind, error, trace)

    sys.excepthook = hook


def _leave_quietly() -> NoReturn:
    """End as a program does whose reader has gone (``| head``): Python would try to write the rest once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_READER_GONE)


def system_error(error: OSError, place: Path | None = None) -> str:
    """What a user can do about an error of the system; nothing where it may be a bug of the program.

    Args:
        error: what was raised. A write that fails does not know the file that it went to.
        place: the file or folder that was written, where the error does not say.
    """
    if _NO_TEMPORARY_FOLDER in str(error.strerror):
        return f"{error.strerror}; set the environment variable TMPDIR to a folder that can be written"
    if error.errno not in _CURES:
        return ""
    what, cure = _CURES[error.errno]
    # Of a copy or a move, what it went to.
    name = error.filename2 or error.filename
    path = destination_of(Path(os.fsdecode(name))) if isinstance(name, str | bytes) else place
    where = f"{path}: " if path else ""
    free = f" ({_free(path or Path.cwd())})" if error.errno in _FULL else ""
    return f"{where}{what}{free}; {cure}. Earlier results are as they were"


def _free(path: Path) -> str:
    """How much is free where a file was to be written."""
    folder = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.is_dir())
    usage, files = shutil.disk_usage(folder), os.statvfs(folder)
    if files.f_files and not files.f_favail:
        return f"no more files fit on the disk of {folder}"
    return f"{usage.free / 1e6:,.0f} MB of {usage.total / 1e6:,.0f} MB are free on the disk of {folder}"
