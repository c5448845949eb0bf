"""The mmengine Runner as this pipeline configures it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.dist import get_world_size
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from pipeline.datasets.prepared import split_paths
from pipeline.errors import RecipeError, TrainingError
from pipeline.recipes import Recipe
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training.autocast import AutocastOptimWrapper
from pipeline.training.batch import scaling_of
from pipeline.training.loaders import train_loader, val_loader
from pipeline.training.loop import TrainLoop
from pipeline.training.metric import ValidationMetric
from pipeline.training.switches import AddedLossHook, other_hooks, switches_of


class DeviceRunner(Runner):
    """mmengine's Runner on a device of our choice; its own takes an accelerator wherever it finds one.

    Args:
        device: where the model is trained.
        find_unused_parameters: whether a parameter may take no part in an iteration of several processes.
        arguments: those of mmengine's Runner.
    """

    def __init__(self, device: torch.device, find_unused_parameters: bool, **arguments: Any) -> None:
        self._device = device
        self._find_unused = find_unused_parameters
        super().__init__(**arguments)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Move the model to the device; several processes average its gradients.

        Each process normalises with the statistics of its own images, as usual; the running ones are shared by
        :class:`~pipeline.training.hooks.CrashSafeCheckpointHook`.
        """
        model = model.to(self._device)
        if not self.distributed:
            return model
        gpus = [torch.cuda.current_device()] if self._device.type == "cuda" else None
        return MMDistributedDataParallel(
            model, device_ids=gpus, broadcast_buffers=False, find_unused_parameters=self._find_unused
        )

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable[..., Any] = "cpu",
    ) -> None:
        """Resume from a checkpoint that is read on the CPU: a GPU need not hold it beside the model."""
        super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)


@contextmanager
def unused_parameters_named() -> Iterator[None]:
    """Say what to set where several processes wait for the gradient of a parameter that took no part.

    Raises:
        TrainingError: torch found one.
    """
    try:
        yield
    except RuntimeError as error:
        if "finished reduction" not in str(error):
            raise
        raise TrainingError(
            "a parameter of the student takes no part in its losses, and several processes wait for its gradient; set "
            "`find_unused_parameters = True` in the recipe, or leave the module out (a stage of the backbone that the "
            "neck does not take?)"
        ) from error


def build_runner(
    distiller: nn.Module,
    recipe: Recipe,
    dataset: DatasetRecord,
    dataset_dir: Path,
    settings: TrainSettings,
    device: torch.device,
    precision: str,
    work_dir: Path,
    hooks: list[Hook],
    resume_from: Path | None,
) -> Runner:
    """Assemble a Runner that trains ``distiller`` as the recipe says.

    Only the data files, the precision and the hooks are set here; model, schedule, batch size and augmentation are
    the recipe's. A recipe's ``auto_scale_lr`` scales its learning rate by the real total batch.

    Raises:
        RecipeError: the schedule of the learning rate counts epochs and the training iterations.
    """
    config = recipe.config
    switches = switches_of(config, recipe.path)
    added = [AddedLossHook(switch.begin) for switch in switches if switch.adds_l1]
    val_annotations, _ = split_paths(dataset_dir, dataset.splits["val"])
    return DeviceRunner(
        device=device,
        find_unused_parameters=config.get("find_unused_parameters", False),
        model=distiller,
        work_dir=str(work_dir),
        train_dataloader=train_loader(recipe, dataset, dataset_dir, settings),
        val_dataloader=val_loader(recipe, dataset, dataset_dir, settings),
        train_cfg={**config.train_cfg, "type": TrainLoop, "switches": switches},
        val_cfg={"type": "ValLoop"},
        val_evaluator=Evaluator(ValidationMetric(val_annotations)),
        optim_wrapper=wrapper_config(recipe, device, precision),
        auto_scale_lr=scaling_of(config),
        param_scheduler=scheduler_configs(recipe),
        default_hooks={"logger": None, "checkpoint": None, "timer": None},
        custom_hooks=[*hooks, *added, *other_hooks(config)],
        # The process group exists already.
        launcher="none" if get_world_size() == 1 else "pytorch",
        env_cfg={"cudnn_benchmark": True, "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0}},
        log_level="ERROR",
        load_from=str(resume_from) if resume_from else None,
        resume=resume_from is not None,
        randomness={"seed": settings.seed},
        visualizer={"type": "Visualizer", "vis_backends": [], "name": recipe.name},
        default_scope="mmdet",
        experiment_name=recipe.name,
    )


def wrapper_config(recipe: Recipe, device: torch.device, precision: str) -> ConfigDict:
    """The recipe's ``optim_wrapper`` in this project's precision."""
    wrapper = recipe.config.optim_wrapper
    return ConfigDict(wrapper, type=AutocastOptimWrapper, device_type=device.type, precision=precision)


def scheduler_configs(recipe: Recipe) -> list[dict[str, Any]]:
    """The learning rate's schedulers, those by epochs converted to iterations (mmengine's own conversion)."""
    counts_epochs = "max_epochs" in recipe.config.train_cfg
    schedulers = []
    listed = recipe.config.param_scheduler
    for place, scheduler in enumerate(listed if isinstance(listed, list | tuple) else [listed]):
        by_epoch = scheduler.get("by_epoch", True)
        if by_epoch and not counts_epochs:
            raise RecipeError(
                f"{recipe.path}: param_scheduler[{place}] ({scheduler['type']}) counts epochs and train_cfg "
                "iterations; set by_epoch=False there, or train_cfg.max_epochs"
            )
        schedulers.append({**scheduler, "convert_to_iter_based": True} if by_epoch else scheduler)
    return schedulers
