"""Training in a loop that counts iterations, whether the schedule counts them or epochs.

Published schedules count epochs; log, checkpoints and distillation here count iterations, so that a training goes on
from the middle of an epoch (one of COCO's takes an hour). The two agree exactly: an epoch is as many iterations as its
data loader has batches, known once the data set is read.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dist import get_rank
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from pipeline.training.draws import seeded
from pipeline.training.switches import Switch
from pipeline.training.validation_times import ValidationTimes

_ITERATIONS_BETWEEN_VALIDATIONS = 1000
"""mmengine's default, as one epoch is for a schedule in epochs."""
_OF_A_STEP = 1
"""Ends the key of a step's random numbers; those of the images have a shorter one."""


class TrainLoop(BaseLoop):
    """Trains for ``max_iters`` iterations or ``max_epochs`` epochs; the last iteration is always validated.

    mmengine's own loops are no base: they begin to read the data as they are built, which mmdet's
    ``AspectRatioBatchSampler`` remembers, and after a resume they read all data again up to there.

    What a step draws at random (sizes of batches, samples of boxes) depends on its number alone, as images do, so that
    a training that goes on draws the same.

    Args:
        runner: the Runner.
        dataloader: configuration of the data loader, whose batches are numbered
            (:class:`pipeline.training.draws.NumberedBatches`) and whose data set is a
            :class:`pipeline.training.drawn_dataset.DrawnDataset`.
        max_iters: iterations to train.
        max_epochs: epochs to train, in the place of iterations.
        val_interval: iterations or epochs between validations.
        dynamic_intervals: other intervals from milestones on.
        switches: changes of the data on the way.

    Attributes:
        unit: iterations of what the training counts in, an epoch or one.
        max_iters: the iterations that it ends after, which a hook may change (:mod:`pipeline.training.stopping`).
        planned_iterations: those of the whole schedule.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict[str, Any],
        max_iters: int | None = None,
        max_epochs: int | None = None,
        val_interval: int | None = None,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        switches: Sequence[Switch] = (),
    ) -> None:
        super().__init__(runner, dataloader)
        if max_iters is None:
            self.unit, length, usual = len(self.dataloader), max_epochs or 0, 1
        else:
            self.unit, length, usual = 1, max_iters, _ITERATIONS_BETWEEN_VALIDATIONS
        self.max_epochs = 1 if max_epochs is None else max_epochs
        self.max_iters = self.planned_iterations = length * self.unit
        self._validations = ValidationTimes(val_interval or usual, dynamic_intervals or (), length, self.unit)
        batches = self.dataloader.batch_sampler
        drawn = [(switch.begin * self.unit * batches.batch_size, switch) for switch in switches]
        batches.remember(self.dataloader.dataset.plan(drawn, batches.batch_size))
        self.stop_training = False
        # Set by the Runner when it resumes.
        self._iter = 0
        self._epoch = 0

    @property
    def iter(self) -> int:
        """Iterations done."""
        return self._iter

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._iter // len(self.dataloader)

    def validates_after(self, iteration: int) -> bool:
        """Whether the training is validated once so many iterations are done; so it is at its end, wherever that is."""
        return iteration == self.max_iters or self._validations.has(iteration)

    def run(self) -> Any:
        """Train to the end, from the iteration that the Runner has set."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        batches = batches_from(self.dataloader, self._iter)
        while self._iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            self._step(next(batches))
            if self.validates_after(self._iter):
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _step(self, batch: Any) -> None:
        # mmengine's loops tell it once an epoch; TOOD changes its assigner by it.
        self.runner.message_hub.update_info("epoch", self.epoch)
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=batch)
        with seeded(self.runner.seed, get_rank(), self._iter, _OF_A_STEP):
            outputs = self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=batch, outputs=outputs)
        self._iter += 1


def batches_from(loader: "DataLoader[Any]", iteration: int = 0) -> Iterator[Any]:
    """The batches of a data loader without end, epoch after epoch, without loading those before.

    Args:
        loader: the data loader; its batches are numbered.
        iteration: number (from 0) of the batch to begin with.
    """
    numbered: Any = loader.batch_sampler
    numbered.begin_at(iteration)
    return iter(loader)
