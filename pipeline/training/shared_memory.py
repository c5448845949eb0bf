"""Whether the memory that data loaders hand their batches over in is large enough; where it is not, they wait for ever.

Docker gives a container 64 MB of ``/dev/shm`` unless it is told otherwise.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import TrainingError
from pipeline.recipes import Recipe
from pipeline.recipes.hook_clocks import hooks_of
from pipeline.recipes.nested_datasets import steps_of, type_of
from pipeline.training.collectives import processes_here

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (the kernel's, not a file of ours)
_PREFETCHED = 2
"""Batches that torch's loader keeps ready for each worker."""
_CURE = "start the container with --shm-size=2g, or set `train.workers: 0` in params.yaml"


def check_shared_memory(recipe: Recipe, workers: int, folder: Path = SHARED_MEMORY) -> None:
    """Compare what the loaders of a training need with what is free.

    Args:
        recipe: its batch size and its largest image decide.
        workers: processes that load images for one that trains; 0 need no shared memory.
        folder: where the system keeps it; a system without such a folder is not checked.

    Raises:
        TrainingError: too little is free.
    """
    if not workers or not folder.is_dir():
        return
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    batch = recipe.config.train_dataloader.batch_size
    # All processes on this machine share it. While one validates, its batches of training wait.
    needed = processes_here() * len(("train", "val")) * (_PREFETCHED * workers + 1) * batch * largest_image(recipe)
    if needed > free:
        raise TrainingError(
            f"{folder} has {free / 1e6:.0f} MB free, and train.workers: {workers} need about {needed / 1e6:.0f} MB "
            f"there (batches of {batch}); {_CURE}"
        )


def largest_image(recipe: Recipe) -> int:
    """Bytes of the largest image that the recipe's steps hand over: 3 of each pixel, as they are loaded."""
    switched = [hook.get("switch_pipeline") or [] for hook in hooks_of(recipe.config)]
    pipelines = [[step for _, step in steps_of(recipe.config.train_dataloader.dataset)], *switched]
    found = [recipe.input_size, *(size for steps in pipelines for step in _last(steps) for size in sizes_of(step))]
    return 3 * max(height * width for height, width in found)


def _last(steps: Sequence[Any]) -> Sequence[Any]:
    """The steps from the last one on that cuts to a size, whatever was before it."""
    cuts = [index for index, step in enumerate(steps) if type_of(step) == "RandomCrop" and any(sizes_of(step))]
    return steps[max(cuts, default=0) :]


@contextmanager
def dead_workers_named() -> Iterator[None]:
    """Say of a loader's process that died what is known to kill it.

    Raises:
        TrainingError: one died.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            f"a process that loads images ended ({str(error).strip().splitlines()[0]}): out of shared memory, or of "
            f"memory? {_CURE}"
        ) from error


def sizes_of(step: Any) -> Iterator[tuple[int, int]]:
    """The sizes that a step of a pipeline names, in pixels."""
    for key in ("scale", "scales", "img_scale", "crop_size", "size"):
        value = step.get(key) if isinstance(step, dict) else None
        for size in value if isinstance(value, list) else [value]:
            if isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(side, int) for side in size):
                yield size[0], size[1]
