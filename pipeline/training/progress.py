"""Progress bars: one rule for terminals, logs and the processes that show none."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import IterBasedTrainLoop
from tqdm import tqdm

from deploy.runtime.printable import in_one_line


def progress_bar(title: str, total: int, **more: Any) -> tqdm:
    """A bar on the error stream of the first process; a log gets a line now and then, a terminal a live bar."""
    interval = 0.5 if sys.stderr.isatty() else 15
    return tqdm(desc=in_one_line(title), total=total, mininterval=interval, disable=not is_main_process(), **more)


class ReplayingLoop(IterBasedTrainLoop):
    """mmengine's loop with a bar for what it does first when it resumes: it draws all batches again up to there."""

    dataloader_iterator: Iterator[Any]

    def run(self) -> None:
        if self._iter > 0:
            self.dataloader_iterator = _replayed(self.dataloader_iterator, self._iter)
        return super().run()


def _replayed(batches: Iterator[Any], count: int) -> Iterator[Any]:
    yield from progress_bar("drawing the batches before again", count, iterable=islice(batches, count), leave=False)
    yield from batches
