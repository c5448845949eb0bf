"""How every stage starts: expected errors become one clear message and exit status 1."""

import functools
import gc
import logging
import warnings
from collections.abc import Callable, Sequence

from deploy.runtime.commands import Main, command
from deploy.runtime.errors import ArtefactError, BackendUnavailable, ImageError
from deploy.runtime.printable import VisibleFormatter
from pipeline.errors import PipelineError
from pipeline.stage_times import timed

OWN_PACKAGES = ("pipeline", "deploy", "stages", "__main__")


def stage_main(main: Main) -> Callable[..., None]:
    """Wrap a stage's ``main(argv)``: quiet third parties, the endings that :func:`command` knows, and its time."""

    @command(PipelineError, ArtefactError, BackendUnavailable, ImageError)
    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        speak()
        spare_imports()
        with timed():
            main(argv)

    return run


def spare_imports() -> None:
    """Take what is imported by now out of garbage collection for good.

    A full collection of what torch and mmdet define takes 0.3 s, and mmengine asks for one with every data set.
    """
    if not gc.get_freeze_count():
        gc.freeze()
    gc.enable()


def speak() -> None:
    """Let this project report what it does, and third parties only what went wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
    warnings.filterwarnings("ignore", category=FutureWarning)
    # mmdet warns about a property that its own heads read.
    warnings.filterwarnings("ignore", message=".*`num_anchors` is deprecated")
