"""Training by epochs in a loop that counts iterations.

Published schedules count epochs; log, checkpoints and distillation here count iterations, so that a training goes on
from the middle of an epoch (one of COCO's takes an hour). The two agree exactly: an epoch is as many iterations as its
data loader has batches, known once the data set is read.
"""

from collections.abc import Iterator
from typing import Any

from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from pipeline.training.progress import progress_bar


class EpochTrainLoop(BaseLoop):
    """A training loop by iterations for a schedule in epochs; validates at the end of every ``val_interval`` epochs.

    mmengine's own loop by iterations is no base: it begins to read the data as it is built, which mmdet's
    ``AspectRatioBatchSampler`` remembers, and after a resume it reads again all data since the first epoch.

    Args:
        runner: the Runner.
        dataloader: configuration of the data loader; its sampler ends with the epoch.
        max_epochs: epochs to train.
        val_interval: epochs between validations; the last epoch is always validated.
    """

    def __init__(self, runner: Runner, dataloader: dict[str, Any], max_epochs: int, val_interval: int = 1) -> None:
        super().__init__(runner, dataloader)
        self.max_epochs = max_epochs
        self.max_iters = max_epochs * len(self.dataloader)
        self.val_interval = val_interval * len(self.dataloader)
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
        batches = EpochBatches(self.dataloader, self._iter)
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


class EpochBatches:
    """The batches of a data loader without end, epoch after epoch.

    Args:
        loader: the data loader; its sampler is told each epoch's number and shuffles by it.
        iteration: number (from 0) of the batch to begin with; its epoch is read up to it.
    """

    def __init__(self, loader: "DataLoader[Any]", iteration: int = 0) -> None:
        self._loader = loader
        self._epoch, done = divmod(iteration, len(loader))
        self._batches = self._begin()
        for _ in progress_bar("reading the epoch up to where it stopped", done, iterable=range(done), leave=False):
            next(self._batches)

    def __next__(self) -> Any:
        for batch in self._batches:
            return batch
        self._epoch += 1
        self._batches = self._begin()
        return next(self._batches)

    def _begin(self) -> Iterator[Any]:
        for sampler in (self._loader.sampler, getattr(self._loader.batch_sampler, "sampler", None)):
            if sampler is not None and hasattr(sampler, "set_epoch"):
                sampler.set_epoch(self._epoch)
        return iter(self._loader)
