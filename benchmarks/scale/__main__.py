"""CPU seconds and peak memory of what grows with a data set, at two sizes, each in a process of its own.

    python -m benchmarks.scale                       # every part
    python -m benchmarks.scale bookkeeping resume    # some of them

`sources`: what a run in which nothing changed looks at of a folder of the user's own; size is in images.
`annotations`: `coco_dir` from train's json (4.1 KB an image) to what the data stage writes; size is in images.
`yolo`, `voc`: the same of `yolo_dir` and `voc_dir`, from a text or XML file an image; size is in images.
`images`: the data stage's look at every image file; size is in images, JPEG of 640 x 480 pixels and 73 KB.
`bookkeeping`: a rung from its detections (100 an image, 80 classes) to its record with an interval; size is in images.
`errors`: TIDE's kinds of errors and what they cost, and the confusion matrix, of 100 detections an image, 80 classes.
`resume`: how long a training that stopped in the middle of an epoch takes to know its next batch; size is in images.
`calibration`: ranges of the activations of a GFL-R50; size is the longer side of the canvas.
`ranking`: layers of a GFL-R50 by what int8 does to them, on two images; size is the longer side of the canvas.
`report`: five models on nine rungs with 9,000 lines of each training's log, from records to HTML; size is in images.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.peak import reset_peak
from deploy.timing.memory import peak_memory

PARTS = {
    "sources": (29_572, 118_287),
    "annotations": (29_572, 118_287),
    "yolo": (7_393, 29_572),
    "voc": (7_393, 29_572),
    "images": (2000, 8000),
    "bookkeeping": (1250, 5000),
    "errors": (1250, 5000),
    "resume": (29_572, 118_287),
    "calibration": (672, 1344),
    "ranking": (160, 320),
    "report": (500, 5000),
}
"""The two sizes of each part. Its module has a ``prepare(size)``, which is not measured and gives what is.

What that returns is the note of the line, where it is text.
"""


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which parts: {', '.join(PARTS)} (all)")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"no such part: {unknown[0]}; there are {', '.join(PARTS)}")
    if given.size:
        print(json.dumps(cost(given.parts[0], given.size)))
        return
    print("| part | size | CPU s | memory added, MiB | |\n|---|---|---|---|---|")
    for part in given.parts or PARTS:
        for size in PARTS[part]:
            print("|", " | ".join([part, f"{size:,}", *cost_in_a_process(part, size)]), "|", flush=True)


def cost(part: str, size: int) -> list[str]:
    """CPU seconds, by how much memory rose at its peak, and the note."""
    run = importlib.import_module(f"benchmarks.scale.{part}").prepare(size)
    before, start = reset_peak(), time.process_time()
    note = run()
    seconds, memory = time.process_time() - start, peak_memory() - before
    return [f"{seconds:.1f}", f"{memory / 2**20:,.0f}", note if isinstance(note, str) else ""]


def cost_in_a_process(part: str, size: int) -> list[str]:
    """The same in a fresh process of one thread; what it writes is removed."""
    command = [sys.executable, "-m", "benchmarks.scale", part, "--size", str(size)]
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": scratch}
        made = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: list[str] = json.loads(made.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
