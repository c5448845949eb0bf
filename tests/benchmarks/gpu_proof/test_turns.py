"""One process after the other."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent


def test_processes_take_turns_and_the_end_of_one_lets_the_next_in(tmp_path: Path) -> None:
    lock, log = tmp_path / "turn", tmp_path / "log"
    body = dedent("""
        import sys, time
        from pathlib import Path
        from benchmarks.gpu_proof.turns import turn
        name, lock, log = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
        with turn(lock):
            for word in ("in", "out"):
                with log.open("a") as file:
                    file.write(f"{name} {word}\\n")
                time.sleep(0.3)
            sys.exit(3)
    """)
    command = [sys.executable, "-c", body]
    started = [subprocess.Popen([*command, name, str(lock), str(log)]) for name in ("a", "b")]
    assert [process.wait() for process in started] == [3, 3]
    lines = log.read_text().splitlines()
    assert lines in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])
