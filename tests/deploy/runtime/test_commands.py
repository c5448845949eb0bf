"""How a command ends: errors of the system have path and cure, Ctrl-C is none, a bug keeps its traceback."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.runtime.commands import announce_interrupts, command, system_error
from deploy.runtime.errors import ImageError
from deploy.runtime.scratch import scratch_folder

TOLD = {
    errno.ENOSPC: "no space is left on the disk (",
    errno.EDQUOT: "the disk quota is used up (",
    errno.EFBIG: "larger than one may be here",
    errno.EROFS: "read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EIO: "the disk reports an error",
    errno.EMFILE: "too many files are open; raise the limit",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "symbolic link",
}


def ending(error: BaseException) -> str | int | None:
    @command(ImageError)
    def main(argv: Sequence[str] | None = None) -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(("number", "said"), TOLD.items(), ids=[errno.errorcode[number] for number in TOLD])
def test_an_error_of_the_system_names_path_reason_and_cure(number: int, said: str, tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.md"
    told = ending(OSError(number, os.strerror(number), str(path)))
    assert isinstance(told, str)
    assert told.startswith(f"\nerror: {path}: ")
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert "; " in told


def test_of_a_full_disk_is_told_how_much_is_free_and_where(tmp_path: Path) -> None:
    told = system_error(OSError(errno.ENOSPC, "x"), tmp_path / "none" / "none" / "report.md")
    assert f"MB are free on the disk of {tmp_path})" in told


def test_of_a_copy_the_place_that_it_went_to_is_told(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "x", "/work/w.pth", None, str(tmp_path / ".twin.abcd1234.scratch/content/w.pth"))
    assert system_error(error).startswith(f"{tmp_path / 'twin'}: no space is left")


def test_a_path_of_any_bytes_can_be_told() -> None:
    assert "denied" in system_error(PermissionError(errno.EACCES, "x", b"/\xff/a"))


@pytest.mark.parametrize(
    "bug", [TypeError("x"), KeyError("x"), FileNotFoundError(2, "x", "y"), OSError("x"), RuntimeError("x")]
)
def test_a_bug_keeps_its_traceback(bug: Exception) -> None:
    @command(ImageError)
    def main(argv: Sequence[str] | None = None) -> None:
        raise bug

    with pytest.raises(type(bug)):
        main()


def test_an_expected_error_is_a_message() -> None:
    assert ending(ImageError("a.png: damaged")) == "\nerror: a.png: damaged\n"


PROGRAM = """
import sys, time
from pathlib import Path
from deploy.runtime.commands import command
from deploy.runtime.scratch import scratch_folder

@command()
def main(argv=None):
    with scratch_folder("work", Path(sys.argv[1])):
        print("ready", flush=True)
        time.sleep(60)

main()
"""


def test_ctrl_c_is_one_line_and_leaves_no_scratch(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "\ninterrupted\n")
    assert list(tmp_path.iterdir()) == []


def run_with(output: str) -> "subprocess.CompletedProcess[str]":
    """A command that prints a lot, by a shell that sends it somewhere."""
    program = (
        "from deploy.runtime.commands import command\n@command()\ndef main(_):\n  print('word ' * 100_000)\nmain()"
    )
    line = f'"{sys.executable}" -c "$0" {output}'
    return subprocess.run(["bash", "-o", "pipefail", "-c", line, program], capture_output=True, text=True, check=False)


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = run_with("| head -c 10")
    assert (done.returncode, done.stdout, done.stderr) == (141, "word word ", "")


def test_output_that_does_not_fit_is_told() -> None:
    done = run_with("> /dev/full")
    assert "error: no space is left on the disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 120)  # 120 where the interpreter's own end finds it once more


def test_no_folder_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    @command()
    def main(argv: Sequence[str] | None = None) -> None:
        with scratch_folder("work"):
            pass

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(SystemExit, match=r"error: No usable temporary directory found in .*; set .* TMPDIR"):
        main()


def test_an_interrupt_while_a_command_loads_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "loading").mkdir()
    hook = "from deploy.runtime.commands import announce_interrupts\nannounce_interrupts()\n"
    (tmp_path / "loading/__init__.py").write_text(hook)
    (tmp_path / "loading/interrupted.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "loading/broken.py").write_text("import no_such_module\n")
    paths = os.pathsep.join([str(tmp_path), str(Path.cwd())])

    def load(name: str) -> "subprocess.CompletedProcess[str]":
        command_line = [sys.executable, "-m", f"loading.{name}"]
        environment = {**os.environ, "PYTHONPATH": paths}
        return subprocess.run(command_line, capture_output=True, text=True, check=False, env=environment)

    done = load("interrupted")
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "\ninterrupted\n")
    assert "Traceback" in load("broken").stderr


def test_a_program_that_uses_this_one_keeps_its_own_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program.py"])
    before = sys.excepthook
    announce_interrupts()
    assert sys.excepthook is before
