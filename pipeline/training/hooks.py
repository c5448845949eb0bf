"""What happens around an iteration: progress, log, crash-safe checkpoints, the val-chosen weights.

Every process runs every hook, because each of them may have to give its share; the first process alone writes.
"""

import math
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from mmdet.models.data_preprocessors import BatchSyncRandomResize
from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor
from tqdm import tqdm

from pipeline.checkpoints import save_weights
from pipeline.storage import replace_atomic
from pipeline.training.collectives import mean_over_processes, share_batch_statistics
from pipeline.training.log import TrainingLog
from pipeline.training.progress import progress_bar
from pipeline.training.resumption import BEST_FILE, RESUME_FILE, seal
from pipeline.training.tracking import Trackers

METRIC = "val/ap"
_BATCH_SIZE = "_input_size"
"""Where mmdet's BatchSyncRandomResize keeps the height and width that it has drawn; no part of its state."""


class ProgressHook(Hook):
    """Progress bar with time left and losses, and the training log.

    Args:
        log: where the losses go, averaged over ``interval`` iterations and all processes.
        interval: iterations between two log lines.
        title: text before the bar.
        trackers: what else gets what the log gets.
    """

    # Before the learning rate of the next iteration is set (LOW) and before a checkpoint is written (VERY_LOW).
    priority = "BELOW_NORMAL"

    def __init__(self, log: TrainingLog, interval: int, title: str, trackers: Trackers) -> None:
        self._log = log
        self._interval = interval
        self._title = title
        self._trackers = trackers
        self._values: dict[str, list[float]] = {}

    def before_train(self, runner: Runner) -> None:
        distiller_of(runner).iteration = runner.iter
        if is_main_process():
            self._log.rewind(runner.iter)
            self._trackers.begin(self._log.entries())
        self._offset = self._log.seconds()
        self._start = time.perf_counter()
        self._bar = progress_bar(self._title, runner.max_iters, initial=runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        for name, value in (outputs or {}).items():
            self._values.setdefault(name, []).append(value.item())
        self._bar.total = runner.max_iters  # which early stopping changes
        self._bar.update(1)
        iteration = runner.iter + 1
        if iteration % self._interval == 0 or iteration == runner.max_iters:
            self._log_losses(runner, iteration)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        ap = _accuracy(metrics)
        planned = runner.train_loop.planned_iterations
        self._append(runner.iter, val_ap=None if math.isnan(ap) else ap, planned_iterations=planned)
        if is_main_process():
            tqdm.write(f"{self._title}: val AP {ap:.1f} after {runner.iter} iterations", file=sys.stderr)

    def after_train(self, runner: Runner) -> None:
        if self._values:  # of a training that a hook of the recipe's ended between two log lines
            self._log_losses(runner, runner.iter)
        self._bar.close()

    def _log_losses(self, runner: Runner, iteration: int) -> None:
        losses = mean_over_processes({name: fmean(values) for name, values in self._values.items()})
        self._values = {}
        rate = runner.optim_wrapper.get_lr()["lr"][0]
        self._append(iteration, learning_rate=rate, losses=losses)
        self._bar.set_postfix_str(f"loss {losses['loss']:.3f}")

    def _append(self, iteration: int, **values: Any) -> None:
        if not is_main_process():
            return
        seconds = self._offset + time.perf_counter() - self._start
        entry = {"iteration": iteration, "seconds": round(seconds, 2), **values}
        self._log.append(entry)
        self._trackers.add(entry)


class BestWeightsHook(Hook):
    """Keeps the weights that were best on the val split.

    Args:
        work_dir: where the file is kept.
        metadata: stored with the weights.
    """

    # Above mmengine's EMAHook (NORMAL): at the end of a validation the model still holds the averaged weights.
    priority = "ABOVE_NORMAL"

    def __init__(self, work_dir: Path, metadata: dict[str, str]) -> None:
        self._work_dir = work_dir
        self._metadata = metadata

    def before_train(self, runner: Runner) -> None:
        # mmengine keeps one message hub a name and process: an earlier run of this name must not set the mark.
        if runner.iter == 0:
            runner.message_hub.update_info("best_ap", -math.inf)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        ap = _accuracy(metrics)
        hub = runner.message_hub
        best = hub.get_info("best_ap", -math.inf)
        if ap > best or best == -math.inf:
            if is_main_process():
                metadata = {**self._metadata, "iteration": str(runner.iter), "val_ap": str(ap)}
                save_weights(self._work_dir / BEST_FILE, distiller_of(runner).student.state_dict(), metadata)
            hub.update_info("best_ap", -1.0 if math.isnan(ap) else ap)


class CrashSafeCheckpointHook(Hook):
    """Keeps one checkpoint to resume from.

    mmengine's own hook deletes the old file before it writes the new one and writes in place, so a kill at the wrong
    moment loses both; here the file is replaced in one step, after the best weights that it refers to.

    Args:
        work_dir: where the file is kept.
        interval: iterations between two checkpoints; each validation also writes one.
    """

    # After everything that an iteration changes: the average (NORMAL) and the learning rate (LOW).
    priority = "VERY_LOW"

    def __init__(self, work_dir: Path, interval: int) -> None:
        self._work_dir = work_dir
        self._interval = interval

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        iteration = runner.iter + 1
        if iteration % self._interval == 0 and not runner.train_loop.validates_after(iteration):
            _share_batch_statistics(runner)
            self._save(runner, iteration)

    def before_val(self, runner: Runner) -> None:
        # All processes validate their share of the images with one model: the one that is written afterwards.
        _share_batch_statistics(runner)

    def after_val(self, runner: Runner) -> None:
        self._save(runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep plain values only, so that the file loads with ``weights_only`` and can run no code.

        mmengine's history buffers would ask for ``getattr`` while loading (mmengine issue 1614); the log is kept by
        :class:`~pipeline.training.log.TrainingLog`.
        """
        hub = runner.message_hub
        kept = {name: hub.get_info(name) for name in ("best_ap",) if name in hub.runtime_info}
        checkpoint["message_hub"] = {
            "log_scalars": {},
            "runtime_info": kept,
            "resumed_keys": dict.fromkeys(kept, True),
        }
        checkpoint["meta"] = {key: checkpoint["meta"][key] for key in ("epoch", "iter", "seed")}
        checkpoint["batch_sizes"] = [getattr(module, _BATCH_SIZE) for module in _batch_resizers(runner)]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go on with the sizes that were drawn for several batches."""
        for module, size in zip(_batch_resizers(runner), checkpoint["batch_sizes"], strict=True):
            setattr(module, _BATCH_SIZE, size)

    def _save(self, runner: Runner, iteration: int) -> None:
        if not is_main_process():
            return
        meta = {"epoch": 0, "iter": iteration}

        def write(part: Path) -> None:
            runner.save_checkpoint(str(part.parent), part.name, file_client_args=None, meta=meta, by_epoch=False)
            seal(part)

        replace_atomic(self._work_dir / RESUME_FILE, write)


def distiller_of(runner: Runner) -> Any:
    """The distiller that a Runner trains, in several processes too."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _batch_resizers(runner: Runner) -> list[BatchSyncRandomResize]:
    preprocessor = distiller_of(runner).data_preprocessor
    return [module for module in preprocessor.modules() if isinstance(module, BatchSyncRandomResize)]


def _share_batch_statistics(runner: Runner) -> None:
    averages = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
    share_batch_statistics(runner.model, *averages)


def _accuracy(metrics: dict[str, float] | None) -> float:
    return math.nan if metrics is None else metrics[METRIC]
