"""A kind whose reader does everything that a reader must not do: what it does stands in the file."""

import os
import time
from pathlib import Path
from random import Random

from benchmarks.fuzz.cases import Kind, Sample
from pipeline.errors import PipelineError

WAYS = ("accept", "refuse", "nameless", "endless", "differ", "raise", "leave", "crash", "hang", "swell")


def _read(path: Path) -> str:
    way = path.read_text()
    match way.partition(" ")[0]:
        case "refuse":
            raise PipelineError(f"{path}: not taken")
        case "nameless":
            raise PipelineError("not taken")
        case "endless":
            raise PipelineError(f"{path}: {'A' * 100_000}")
        case "raise":
            raise KeyError(way)
        case "leave":
            raise SystemExit(0)
        case "crash":
            os.abort()
        case "hang":
            time.sleep(60)
        case "swell":
            bytearray(1 << 40)
    return "other" if way == "differ damaged" else "content"


def _damage(random: Random, content: bytes) -> bytes:
    return content + b" damaged"


KIND = Kind(
    samples={way: Sample("input.txt", way.encode(), _damage, exact=way == "differ") for way in WAYS},
    read=_read,
    own=(PipelineError,),
)
