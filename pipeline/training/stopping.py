"""Early stopping: whether a training still improves, told by its accuracies on the val split and nothing else.

They are in the training log, so a training that goes on after a kill goes on counting. mmengine's own
``EarlyStoppingHook`` keeps its count in memory and begins anew.
"""

import math
import sys
from collections.abc import Sequence

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from pipeline.settings import EarlyStoppingSettings
from pipeline.training.collectives import from_first
from pipeline.training.log import TrainingLog
from pipeline.training_records import EarlyStop, ValidationPoint


def validations_without_gain(accuracies: Sequence[float | None], min_delta: float) -> int:
    """How many validations ago the last one was that gained.

    Args:
        accuracies: AP of each validation, in points; none where it does not exist, which is no gain.
        min_delta: AP points by which a gain is above the last one at least, so that small steps add up.
    """
    best, waited = -math.inf, 0
    for ap in accuracies:
        if ap is not None and ap > best and ap - best >= min_delta:
            best, waited = ap, 0
        else:
            waited += 1
    return waited


def stop_of(validation: Sequence[ValidationPoint], settings: EarlyStoppingSettings) -> EarlyStop | None:
    """Why a training ends after these validations; none where it goes on."""
    patience = settings.patience
    if patience is None:
        return None
    waited = validations_without_gain([point.ap for point in validation], settings.min_delta)
    return EarlyStop(patience=patience, min_delta=settings.min_delta) if waited >= patience else None


class EarlyStopHook(Hook):
    """Ends a training that no longer improves; every process ends after the same iteration.

    Args:
        log: has the accuracies of this training, also of before a kill.
        settings: when it ends.
        title: the model, for the message.
    """

    # After the accuracy is logged (BELOW_NORMAL).
    priority = "LOW"

    def __init__(self, log: TrainingLog, settings: EarlyStoppingSettings, title: str) -> None:
        self._log = log
        self._settings = settings
        self._title = title

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self._settings.patience is None or runner.iter >= runner.max_iters:
            return
        stop = from_first(lambda: stop_of(self._log.validation(), self._settings))
        if stop is None:
            return
        runner.train_loop.stop_training = True
        if is_main_process():
            text = f"stopped after {runner.iter} of {runner.max_iters} iterations, as {stop.reason}"
            tqdm.write(f"{self._title}: {text}", file=sys.stderr)
