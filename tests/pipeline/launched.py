"""What the processes of tests/pipeline/test_launcher.py do; run as a script, a stage that launches one of them."""

import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed

from pipeline.cli import stage_main
from pipeline.errors import RecipeError
from pipeline.launcher import is_first_process, launch
from pipeline.settings import TrainSettings


def add_up(folder: Path) -> None:
    """Sum the ranks over all processes and leave a file that says so."""
    total = torch.tensor(float(torch.distributed.get_rank() + 1))
    torch.distributed.all_reduce(total)
    words = [str(int(total)), torch.distributed.get_backend(), str(torch.get_num_threads())]
    (folder / f"{torch.distributed.get_rank()}.txt").write_text(" ".join(words))


def fail_in_one(message: str, expected: bool) -> None:
    """Fail in the second process, while the first waits for it."""
    if torch.distributed.get_rank() == 1:
        raise RecipeError(message) if expected else ValueError(message)
    torch.distributed.barrier()


def linger(folder: Path) -> None:
    """Say who is there, and stay."""
    (folder / f"{torch.distributed.get_rank()}.pid").write_text(str(os.getpid()))
    time.sleep(600)


WORK = {work.__name__: work for work in (add_up, linger)}


@stage_main
def main(argv: object = None) -> None:
    """Arguments: settings as JSON, what to do, a folder."""
    settings = TrainSettings.model_validate_json(sys.argv[1])
    (Path(sys.argv[3]) / f"first_{is_first_process(settings)}").touch()
    launch(settings, WORK[sys.argv[2]], Path(sys.argv[3]))


if __name__ == "__main__":
    main()
