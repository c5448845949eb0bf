"""What a killed DVC leaves in its own folder and stumbles over for ever; ``make repro`` looks before it starts DVC.

DVC 3 rewrites ``.dvc/tmp/rwlock`` in place before and after each stage. A kill in between leaves it empty or cut off,
and every later command ends in "Unable to read RWLock-file" until somebody deletes it. It holds nothing that lasts:
which process reads or writes what, and DVC itself forgets the entries of processes that are gone.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import stage_main

RWLOCK = Path(".dvc/tmp/rwlock")
_LOOKS, _PAUSE_S = 5, 0.2
logger = logging.getLogger(__name__)


def mend_rwlock(path: Path = RWLOCK) -> bool:
    """Remove the file if it is unreadable, and stays so: a DVC that runs rewrites it within an instant.

    Returns:
        whether it was removed.
    """
    for look in range(_LOOKS):
        if _is_readable(path):
            return False
        if look < _LOOKS - 1:
            time.sleep(_PAUSE_S)
    path.unlink(missing_ok=True)
    logger.info("%s: removed; a dvc that was killed left it unreadable", path)
    return True


def _is_readable(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Remove what a killed dvc left unreadable in .dvc/tmp; nothing where there is nothing."""
    argparse.ArgumentParser(prog="python -m pipeline.dvc_state", description=main.__doc__).parse_args(argv)
    mend_rwlock()


if __name__ == "__main__":
    main()
