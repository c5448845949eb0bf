"""The peak of this process's memory, measured anew from some moment on."""

import ctypes
import sys
from pathlib import Path

from deploy.timing.memory import peak_memory


def reset_peak() -> int:
    """Give free memory back to the system and let the peak start anew (Linux, proc(5) clear_refs); 0 elsewhere."""
    if not sys.platform.startswith("linux"):
        return 0
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()
