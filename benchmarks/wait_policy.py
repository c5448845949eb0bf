"""OpenMP's wait policy: training steps a second with threads that spin and with threads that sleep at barriers.

``python -m benchmarks.wait_policy``: each policy in processes of its own, in alternating order, alone and beside one
busy process for each core; medians and their ratio. Steps are forward and backward of the embedded twin on random
images, batch 8, bf16 autocast, channels last.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

POLICIES = ("ACTIVE", "PASSIVE")
BUSY = [sys.executable, "-c", "while True: pass"]


def steps_per_second(seconds: float) -> float:
    """Train for ``seconds`` in this process."""
    import torch
    from mmengine.config import Config

    import pipeline  # noqa: F401  (before mmdet is imported)

    from mmdet.registry import MODELS  # isort: skip
    from mmdet.utils import register_all_modules  # isort: skip

    register_all_modules(init_default_scope=True)
    model = MODELS.build(Config.fromfile(str(Path("configs/_base_/student_gfl_r18w16.py"))).model)
    model = model.to(memory_format=torch.channels_last).train()
    images = torch.randn(8, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    steps, start = -3, time.perf_counter()
    while steps <= 0 or time.perf_counter() - start < seconds:
        if steps == 0:
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model.bbox_head(model.extract_feat(images))
        sum(level.float().mean() for maps in outputs for level in maps).backward()
        model.zero_grad()
        steps += 1
    return steps / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wait_policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each policy (%(default)s)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(steps_per_second(arguments.seconds))
        return
    command = [sys.executable, "-m", "benchmarks.wait_policy", "--worker", "--seconds", str(arguments.seconds)]
    for title, others in (("alone", 0), ("beside busy processes", os.cpu_count() or 1)):
        rates: dict[str, list[float]] = {policy: [] for policy in POLICIES}
        with ExitStack() as stack:
            for _ in range(others):
                stack.callback(subprocess.Popen(BUSY).kill)
            for _ in range(arguments.rounds):
                for policy in POLICIES:
                    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
                    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                    rates[policy].append(float(done.stdout.split()[-1]))
        active, passive = (statistics.median(rates[policy]) for policy in POLICIES)
        print(f"{title}: spinning {active:.2f} steps/s, passive {passive:.2f} steps/s, ratio {passive / active:.2f}")


if __name__ == "__main__":
    main()
