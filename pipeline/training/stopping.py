"""Early stopping: whether a training still improves, told by its accuracies on the val split and nothing else.

One that does not is not cut off where its learning rate is high: what is left of its schedule is gone through in a last
stretch, so that the rate goes down to where the schedule ends. All is told by the accuracies in the training log, so a
training that goes on after a kill goes on counting, and on the same way down. mmengine's own ``EarlyStoppingHook``
keeps its count in memory, begins anew and ends at once.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from pipeline.settings import EarlyStoppingSettings
from pipeline.training.collectives import from_first
from pipeline.training.hooks import distiller_of
from pipeline.training.log import TrainingLog
from pipeline.training_records import EarlyStop, ValidationPoint

LAST_STRETCH = 0.2
"""Of the iterations done so far: how many more, two at least, it takes to go through what is left of the schedule."""


@dataclass(frozen=True)
class Shortening:
    """The last stretch of a training: from where ``stop`` says to the end after ``last`` iterations of ``planned``."""

    stop: EarlyStop
    last: int
    planned: int

    def place(self, iteration: int) -> int:
        """Where on the planned schedule the training is after so many iterations; its last one is that of the plan."""
        begun = self.stop.iteration
        if iteration <= begun:
            return iteration
        times = (self.planned - 1 - begun) / (self.last - 1 - begun)
        return min(self.planned, begun + round((iteration - begun) * times))


def patience_ran_out(accuracies: Sequence[float | None], patience: int, min_delta: float) -> int | None:
    """The first validation, counted from 0, that is the last of ``patience`` in a row without a gain.

    Args:
        accuracies: AP of each validation, in points; none where it does not exist, which is no gain.
        patience: at least 1.
        min_delta: AP points by which a gain is above the last one at least, so that small steps add up.
    """
    best, waited = -math.inf, 0
    for place, ap in enumerate(accuracies):
        if ap is not None and ap > best and ap - best >= min_delta:
            best, waited = ap, 0
        else:
            waited += 1
        if waited >= patience:
            return place
    return None


def shortening_of(
    validation: Sequence[ValidationPoint], settings: EarlyStoppingSettings, planned: int | None
) -> Shortening | None:
    """The last stretch that these validations ask for; none where the training goes on as it is planned.

    So it does where what is left of the schedule is no longer than the last stretch would be.

    Args:
        validation: those so far, which may lie in the last stretch.
        settings: how long is waited for a gain.
        planned: iterations of the whole schedule; none before the first validation.
    """
    patience, min_delta = settings.patience, settings.min_delta
    if patience is None or planned is None:
        return None
    place = patience_ran_out([point.ap for point in validation], patience, min_delta)
    if place is None:
        return None
    begun = validation[place].iteration
    last = begun + max(2, math.ceil(LAST_STRETCH * begun))
    stop = EarlyStop(patience=patience, min_delta=min_delta, iteration=begun)
    return Shortening(stop, last, planned) if last < planned else None


class EarlyStopHook(Hook):
    """Shortens the rest of a training that no longer improves; every process does so after the same iteration.

    Learning rate and distillation go through all that is left of their schedules, several steps an iteration.

    Args:
        log: has the accuracies of this training, also of before a kill.
        settings: when it is shortened.
        title: the model, for the message.
    """

    # After the accuracy is logged (BELOW_NORMAL).
    priority = "LOW"

    def __init__(self, log: TrainingLog, settings: EarlyStoppingSettings, title: str) -> None:
        self._log = log
        self._settings = settings
        self._title = title
        self._found: Shortening | None = None

    def before_train(self, runner: Runner) -> None:
        """Go on in the last stretch where a killed training was in it; the log is rewound by now."""
        self._shorten(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the distillation where on its schedule it is."""
        if self._found is not None:
            distiller_of(runner).iteration = self._found.place(runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Step the learning rate as often as the schedule goes on, besides the one step of mmengine's own hook."""
        if self._found is None:
            return
        steps = self._found.place(runner.iter + 1) - self._found.place(runner.iter)
        for scheduler in _schedulers(runner):
            for _ in range(steps - 1):
                scheduler.step()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Shorten the rest where nothing was gained for long enough."""
        if self._found is not None or runner.iter >= runner.max_iters:
            return
        self._shorten(runner)
        if self._found is not None and is_main_process():
            text = f"ends after {self._found.last} of {self._found.planned} iterations, the learning rate goes down now"
            tqdm.write(f"{self._title}: {text}, as {self._found.stop.reason}", file=sys.stderr)

    def _shorten(self, runner: Runner) -> None:
        if self._settings.patience is None:
            return
        loop, log = runner.train_loop, self._log
        self._found = from_first(lambda: shortening_of(log.validation(), self._settings, loop.planned_iterations))
        if self._found is not None:
            loop.max_iters = self._found.last


def _schedulers(runner: Runner) -> Iterator[Any]:
    found = runner.param_schedulers or []
    yield from found if isinstance(found, list) else (one for listed in found.values() for one in listed)
