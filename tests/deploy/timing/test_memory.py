import subprocess
import sys

import numpy as np

from deploy.timing.memory import peak_memory

MEGABYTE = 1 << 20


def child(code: str) -> int:
    command = f"from deploy.timing.memory import peak_memory\n{code}\nprint(peak_memory())"
    return int(subprocess.run([sys.executable, "-c", command], capture_output=True, check=True, text=True).stdout)


def test_peak_stays_after_the_memory_is_freed() -> None:
    quiet = child("")
    assert 4 * MEGABYTE < quiet < 100 * MEGABYTE
    busy = child(f"block = b'x' * {150 * MEGABYTE}; del block")
    assert 145 * MEGABYTE < busy - quiet < 165 * MEGABYTE


def test_memory_of_the_parent_is_not_counted() -> None:
    ballast = np.ones(250 * MEGABYTE, np.uint8)
    assert peak_memory() > ballast.nbytes
    assert child("") < 100 * MEGABYTE
