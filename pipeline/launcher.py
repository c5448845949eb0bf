"""One process or many: how a training is started on several GPUs and several machines.

Several processes are torchrun's (``torch.distributed.elastic``) or slurm's. A process finds its place among them in
the variables that torchrun sets: ``RANK``, ``LOCAL_RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``.
"""

import logging
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from deploy.runtime.scratch import scratch_folder
from pipeline.cli import OWN_PACKAGES, spare_imports, speak
from pipeline.compute import choose_device, use_own_cores
from pipeline.errors import PipelineError, SettingsError, TrainingError
from pipeline.settings import TrainSettings

# A process that waits for the first one's evaluation waits in a collective; NCCL's own limit is 10 minutes.
TIMEOUT = timedelta(minutes=30)
DEFAULT_PORT = 29500  # torchrun's
GUIDE = "docs/training.md has the commands"


def launch(settings: TrainSettings, work: Callable[..., object], *arguments: Any) -> None:
    """Run ``work(*arguments)`` in as many processes as ``params.yaml`` asks for, and wait until all are done.

    A single process is this one, and nothing is set up around it. Several are joined in torch's default process group
    while they work. Processes that torchrun or srun started already are not multiplied again.

    Args:
        settings: ``train`` of ``params.yaml``.
        work: a function of a module; it runs in new interpreters, so it and its arguments are pickled.
        arguments: what it is called with.

    Raises:
        SettingsError: the launcher misses a variable or a GPU, or torchrun started this process unasked.
        TrainingError: a process failed; the message says which and why. The others are ended.
    """
    use_own_cores()
    if settings.launcher == "none":
        _refuse_torchrun()
        work(*arguments)
    elif settings.launcher == "slurm":
        os.environ.update(_slurm_place(os.environ))
        _take_part(settings, work, *arguments)
    elif "RANK" in os.environ:
        _take_part(settings, work, *arguments)
    elif (count := _processes_here(settings)) * settings.nodes == 1:
        work(*arguments)
    else:
        _start(settings, count, work, arguments)


def is_first_process(settings: TrainSettings) -> bool:
    """Whether this is the first of the processes that torchrun or srun started, or the only one."""
    place = {"none": None, "pytorch": "RANK", "slurm": "SLURM_PROCID"}[settings.launcher]
    return place is None or int(os.environ.get(place, "0")) == 0


def _processes_here(settings: TrainSettings) -> int:
    if choose_device(settings.device).type != "cuda":
        return settings.processes or 1
    gpus = torch.cuda.device_count()
    if (settings.processes or 0) > gpus:
        raise SettingsError(
            f"params.yaml: train.processes is {settings.processes}, and torch sees {gpus} GPU(s) here; each process "
            "needs one of its own: lower it, or leave it null for all of them"
        )
    return settings.processes or gpus


def _agent(settings: TrainSettings, count: int, reports: str) -> LaunchConfig:
    configuration = LaunchConfig(
        min_nodes=settings.nodes,
        max_nodes=settings.nodes,
        nproc_per_node=count,
        max_restarts=0,  # a killed training goes on from its checkpoint at the next `dvc repro`
        logs_specs=DefaultLogsSpecs(log_dir=reports),
        run_id="training",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
    )
    if settings.nodes == 1:
        configuration.local_addr = "127.0.0.1"  # the machine's own name need not resolve
        return configuration
    if missing := [name for name in ("MASTER_ADDR", "NODE_RANK") if name not in os.environ]:
        raise SettingsError(
            f"params.yaml: train.nodes is {settings.nodes}, and the environment lacks {' and '.join(missing)}: the "
            f"first machine's address, and 0 on it, 1, 2, ... on the others; {GUIDE}"
        )
    configuration.rdzv_backend = "static"
    configuration.rdzv_endpoint = f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT', DEFAULT_PORT)}"
    configuration.rdzv_configs["rank"] = int(os.environ["NODE_RANK"])
    return configuration


def _start(settings: TrainSettings, count: int, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    with scratch_folder("training") as reports, _shared_threads(count), _silenced():
        agent = _agent(settings, count, str(reports))
        try:
            elastic_launch(agent, _worker)(settings, work, *arguments)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            raise TrainingError(f"process {rank}: {_told(failure.message)}") from None
        except SignalException as signal:
            raise SystemExit(128 + signal.sigval) from None


def _worker(settings: TrainSettings, work: Callable[..., object], *arguments: Any) -> None:
    speak()
    spare_imports()
    # A new interpreter inherits how it was started; data loaders fork.
    multiprocessing.set_start_method(None, force=True)
    _take_part(settings, work, *arguments)


def _take_part(settings: TrainSettings, work: Callable[..., object], *arguments: Any) -> None:
    if int(os.environ["WORLD_SIZE"]) == 1:
        work(*arguments)
        return
    if int(os.environ["RANK"]) > 0:
        for package in OWN_PACKAGES:
            logging.getLogger(package).setLevel(logging.ERROR)
    device = choose_device(settings.device)
    if device.type == "cuda":
        # Where slurm binds one GPU to a task, each task sees its own as number 0.
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    work(*arguments)
    # Only after success: with a process lost, leaving in order would mean waiting for it.
    torch.distributed.destroy_process_group()


def _slurm_place(environment: Mapping[str, str]) -> dict[str, str]:
    """Torchrun's variables from slurm's; mmengine's ``init_dist("slurm")`` does the same and insists on a GPU."""
    needed = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_JOB_ID", "SLURM_JOB_NODELIST")
    if missing := [name for name in needed if name not in environment]:
        raise SettingsError(
            f"params.yaml: train.launcher is 'slurm', and the environment lacks {', '.join(missing)}; start the stage "
            f"with srun, one task a process: {GUIDE}"
        )
    rank, local_rank, count, job, nodes = (environment[name] for name in needed)
    place = {"RANK": rank, "LOCAL_RANK": local_rank, "WORLD_SIZE": count}
    # Two jobs on one machine must not meet.
    place["MASTER_PORT"] = environment.get("MASTER_PORT", str(DEFAULT_PORT + int(job) % 1000))
    place["MASTER_ADDR"] = environment.get("MASTER_ADDR") or _first_host(nodes)
    return place


def _first_host(nodes: str) -> str:
    if scontrol := shutil.which("scontrol"):
        command = [scontrol, "show", "hostnames", nodes]
        if found := subprocess.run(command, capture_output=True, text=True, check=False).stdout.split():
            return found[0]
    raise SettingsError(f"`scontrol show hostnames {nodes}` names no machine; set MASTER_ADDR to the first one")


def _refuse_torchrun() -> None:
    if (count := os.environ.get("WORLD_SIZE", "1")) != "1":
        raise SettingsError(
            f"params.yaml: train.launcher is 'none', and this is one of {count} processes (WORLD_SIZE), which would "
            "each train the same; set train.launcher to 'pytorch'"
        )


def _told(message: Any) -> str:
    """What a failed process says: an expected error's text; the call stack too of any other."""
    if isinstance(message, str):
        return message
    text = str(message["message"])
    name, _, rest = text.partition(": ")
    expected: list[type[PipelineError]] = [PipelineError, *PipelineError.__subclasses__()]
    return rest if name in [error.__name__ for error in expected] else f"{text}\n{message['extraInfo']['py_callstack']}"


@contextmanager
def _shared_threads(count: int) -> Iterator[None]:
    """Let ``count`` new processes divide this one's threads between them, unless the user said otherwise."""
    threads = str(max(1, torch.get_num_threads() // count))
    ours = {name: threads for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep torch's agent from printing what a failure's one message says."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
