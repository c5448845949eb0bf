"""One process a stage: what a killed ``dvc`` left running is not joined by a second one."""

import functools
import re
import sys
from collections.abc import Callable, Sequence

from deploy.runtime.file_lock import FileLock, Locked
from pipeline.errors import PipelineError
from pipeline.layout import RUNNING
from pipeline.settings import PARAMS_FILE

Main = Callable[[Sequence[str] | None], None]


def one_at_a_time(main: Main) -> Main:
    """Wrap a stage's ``main(argv)``: it is refused while another process runs the stage with equal arguments.

    A ``dvc`` that is killed by itself leaves its stage running, and the next ``dvc repro`` would start the stage again
    beside it. Trainings run in several processes and lock their work directory themselves
    (:mod:`pipeline.training.resumption`).

    Raises:
        PipelineError: the stage runs already; the message names its process.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        if not PARAMS_FILE.is_file():  # not in a project: main says so
            main(argv)
            return
        spec = main.__globals__.get("__spec__")  # under `python -m` the module's name is __main__
        command = " ".join([spec.name if spec else main.__module__, *(sys.argv[1:] if argv is None else argv)])
        RUNNING.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(RUNNING / f"{re.sub(r'[^A-Za-z0-9_.]+', '-', command)[:200]}.lock")
        except Locked as owner:
            raise PipelineError(
                f"`python -m {command}` runs already (process {owner}), perhaps since a `dvc repro` that was killed by "
                f"itself; wait until it is done, or end it with `kill {owner}`, and run `dvc repro` again"
            ) from None
        with lock:
            main(argv)

    return run
