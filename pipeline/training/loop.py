"""Training in a loop that counts iterations, whether the schedule counts them or epochs.

Published schedules count epochs; log, checkpoints and distillation here count iterations, so that a training goes on
from the middle of an epoch (one of COCO's takes an hour). The two agree exactly: an epoch is as many iterations as its
data loader has batches, known once the data set is read.
"""

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

_ITERATIONS_BETWEEN_VALIDATIONS = 1000
"""mmengine's default, as one epoch is for a schedule in epochs."""


class TrainLoop(BaseLoop):
    """Trains for ``max_iters`` iterations or ``max_epochs`` epochs; the last iteration is always validated.

    mmengine's own loops are no base: they begin to read the data as they are built, which mmdet's
    ``AspectRatioBatchSampler`` remembers, and after a resume they read all data again up to there.

    Args:
        runner: the Runner.
        dataloader: configuration of the data loader, whose batches are numbered
            (:class:`pipeline.training.draws.NumberedBatches`).
        max_iters: iterations to train.
        max_epochs: epochs to train, in the place of iterations.
        val_interval: iterations or epochs between validations.

    Attributes:
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
    ) -> None:
        super().__init__(runner, dataloader)
        if max_iters is None:
            epoch = len(self.dataloader)
            self.max_epochs = max_epochs or 0
            self.max_iters, self.val_interval = self.max_epochs * epoch, (val_interval or 1) * epoch
        else:
            self.max_epochs = 1
            self.max_iters, self.val_interval = max_iters, val_interval or _ITERATIONS_BETWEEN_VALIDATIONS
        self.planned_iterations = self.max_iters
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

    def run(self) -> Any:
        """Train to the end, from the iteration that the Runner has set."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        batches = batches_from(self.dataloader, self._iter)
        while self._iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            self._step(next(batches))
            if self._iter % self.val_interval == 0 or self._iter == self.max_iters:
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _step(self, batch: Any) -> None:
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=batch)
        outputs = self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=batch, outputs=outputs)
        self._iter += 1


def batches_from(loader: "DataLoader[Any]", iteration: int = 0) -> Iterator[Any]:
    """The batches of a data loader without end, epoch after epoch, without loading those before.

    Args:
        loader: the data loader; its batches are numbered, and its sampler is told each epoch's number and shuffles by
            it. mmengine's ``InfiniteSampler`` knows one epoch, which does not end.
        iteration: number (from 0) of the batch to begin with.
    """
    numbered: Any = loader.batch_sampler
    endless = isinstance(numbered.sampler, InfiniteSampler)
    epoch, skip = (0, iteration) if endless else divmod(iteration, len(loader))
    while True:
        if hasattr(numbered.sampler, "set_epoch"):
            numbered.sampler.set_epoch(epoch)
        numbered.begin_at(iteration, skip)
        for batch in loader:
            yield batch
            iteration += 1
        epoch, skip = epoch + 1, 0
