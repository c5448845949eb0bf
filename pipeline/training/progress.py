"""Progress bars: one rule for terminals, logs and the processes that show none."""

import sys
from typing import Any

from mmengine.dist import is_main_process
from tqdm import tqdm

from deploy.runtime.printable import in_one_line


def progress_bar(title: str, total: int, **more: Any) -> tqdm:
    """A bar on the error stream of the first process; a log gets a line now and then, a terminal a live bar."""
    interval = 0.5 if sys.stderr.isatty() else 15
    return tqdm(desc=in_one_line(title), total=total, mininterval=interval, disable=not is_main_process(), **more)
