"""Part 5: processes that share their gradients, through NCCL on GPUs.

Each process is ``python -m benchmarks.gpu_proof.collectives FOLDER DEVICE RANK WORLD``. Every one takes a step on
images of its own, wrapped as a training wraps it; afterwards all must hold the mean of what each had alone.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel

import pipeline  # noqa: F401  (before mmdet is imported)
from benchmarks.gpu_proof.place import Check, Mismatch, NotRun, Place, expect
from benchmarks.gpu_proof.record import Numbers
from benchmarks.step_cost import build_teacher
from pipeline.distillers import Distiller, build_methods
from pipeline.recipes import build_plain, read_recipe
from pipeline.training.step_time import random_batch

RECIPE = Path("configs/students/crosskd_gfl_mobilenetv2_r18w16_embedded.py")
TEACHER_RECIPE = Path("configs/teachers/gfl_mobilenetv2_embedded.py")
_LIMIT = 1e-3
_TIMEOUT = timedelta(seconds=20)
_LAST_LINES = 4


def checks(place: Place) -> Iterator[Check]:
    """One process, and as many as there are devices (two in a rehearsal)."""
    yield Check("one process", lambda numbers: _run(place, 1, numbers))
    yield Check("a process for each GPU", lambda numbers: _several(place, numbers))


def _several(place: Place, numbers: Numbers) -> None:
    count = 2 if place.rehearsal else torch.cuda.device_count()
    if count < 2:
        raise NotRun("one GPU")
    _run(place, count, numbers)


def _run(place: Place, world: int, numbers: Numbers) -> None:
    folder = place.scratch / str(world)
    folder.mkdir()
    logs = [folder / f"{rank}.log" for rank in range(world)]
    command = [sys.executable, "-m", "benchmarks.gpu_proof.collectives", str(folder), place.device.type]
    processes = [
        subprocess.Popen([*command, str(rank), str(world)], stdout=log.open("wb"), stderr=subprocess.STDOUT)
        for rank, log in enumerate(logs)
    ]
    codes = [process.wait() for process in processes]
    for rank, code in enumerate(codes):
        if code:
            lines = logs[rank].read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise Mismatch(f"process {rank} of {world}, exit code {code}: {' | '.join(lines[-_LAST_LINES:])}")
    numbers |= json.loads((folder / "result.json").read_text(encoding="utf-8"))
    expect("relative distance between the processes", float(numbers["between processes, relative"]), 0.0)
    expect("relative distance to the mean of each alone", float(numbers["to the mean, relative"]), _LIMIT)


def take_part(folder: Path, device_type: str, rank: int, world: int) -> None:
    """Be one of the processes; the first writes what was found to ``folder/result.json``."""
    device = torch.device(device_type, rank) if device_type == "cuda" else torch.device("cpu")
    if device_type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device_type == "cuda" else "gloo"
    dist.init_process_group(
        backend, init_method=f"file://{folder.resolve()}/meeting", rank=rank, world_size=world, timeout=_TIMEOUT
    )
    teacher = build_teacher(TEACHER_RECIPE, "fp32")
    torch.manual_seed(0)
    config = read_recipe(RECIPE)
    student = build_plain(config, RECIPE)
    distiller = Distiller(student, teacher, build_methods(config.distillation.methods, student, teacher)).to(device)
    distiller.train()
    # Before the wrapper is there, each has the gradients of its own images; the method's norms average positives.
    own = _gradients(distiller, distiller, rank)
    for gradient in own:
        dist.all_reduce(gradient)
        gradient /= world
    gpus = [rank] if device_type == "cuda" else None
    wrapped = MMDistributedDataParallel(distiller, device_ids=gpus, broadcast_buffers=False)
    shared = _gradients(distiller, wrapped, rank)
    lowest, highest = (torch.cat([gradient.flatten() for gradient in shared]) for _ in range(2))
    dist.all_reduce(lowest, dist.ReduceOp.MIN)
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    mean = torch.cat([gradient.flatten() for gradient in own])
    found = torch.cat([gradient.flatten() for gradient in shared])
    if rank == 0:
        result = {
            "backend": f"{backend}{' ' + '.'.join(map(str, torch.cuda.nccl.version())) if backend == 'nccl' else ''}",
            "processes": world,
            "between processes, relative": float((highest - lowest).norm() / mean.norm()),
            "to the mean, relative": float((found - mean).norm() / mean.norm()),
        }
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


def _gradients(distiller: Distiller, model: torch.nn.Module, rank: int) -> list[torch.Tensor]:
    distiller.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    data = random_batch(1 + rank, (64, 96), 10)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        batch = distiller.data_preprocessor(data, True)
        total, _ = distiller.parse_losses(model(**batch, mode="loss"))
        total.backward()
    return [parameter.grad.detach().clone() for parameter in distiller.parameters() if parameter.grad is not None]


def main() -> None:
    """Be one process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_proof.collectives", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("device", choices=["cpu", "cuda"])
    parser.add_argument("rank", type=int)
    parser.add_argument("world", type=int)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    take_part(given.folder, given.device, given.rank, given.world)


if __name__ == "__main__":
    main()
