"""How every stage starts: expected errors become one clear message and exit status 1."""

import functools
import logging
import sys
import warnings
from collections.abc import Callable, Sequence

from deploy.errors import ArtefactError, ImageError
from pipeline.errors import PipelineError

Main = Callable[[Sequence[str] | None], None]


def stage_main(main: Main) -> Callable[..., None]:
    """Wrap a stage's ``main(argv)``: quiet third-party warnings, print expected errors without a traceback."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        warnings.filterwarnings("ignore", category=FutureWarning)
        try:
            main(argv)
        except (PipelineError, ArtefactError, ImageError) as error:
            sys.exit(f"\nerror: {error}\n")

    return run
