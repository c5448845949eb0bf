"""What the processes of one training agree on; in a single process each of these is that process's own value."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from mmengine.dist import all_reduce_dict, all_reduce_params, barrier, broadcast_object_list, is_main_process
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Value = TypeVar("Value")


def processes_here() -> int:
    """How many of a training's processes run on this machine, in torchrun's variable; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def from_first(find: Callable[[], Value]) -> Value:
    """What the first process finds, in every process; the others do not look."""
    found: list[Value | None] = [find() if is_main_process() else None]
    broadcast_object_list(found)
    return found[0]  # type: ignore[return-value]


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process go through the block before the others, which then find what it left on disk."""
    if not is_main_process():
        barrier()
    yield
    if is_main_process():
        barrier()


def mean_over_processes(values: dict[str, float]) -> dict[str, float]:
    """Mean of each value over the processes; every process has the same names."""
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    all_reduce_dict(tensors, op="mean")
    return {name: tensor.item() for name, tensor in tensors.items()}


def share_batch_statistics(*models: nn.Module) -> None:
    """Replace the running statistics of batch norms that are in training mode by their mean over the processes.

    Each process sees its own share of the images. The running statistics are linear in what was seen, so it does not
    matter to the mean when, and how often, they are shared.
    """
    norms = [module for model in models for module in model.modules() if isinstance(module, _BatchNorm)]
    tracking = [norm for norm in norms if norm.training and norm.running_mean is not None]
    all_reduce_params([value for norm in tracking for value in (norm.running_mean, norm.running_var)], op="mean")
