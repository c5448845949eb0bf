"""The report of five models on nine rungs with trainings of 9,000 logged lines, from records to HTML."""

import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

from benchmarks.scale.finished_run import parameters, write_finished_run
from pipeline.layout import REPORTS
from pipeline.report.render import write_report

_LOG_LINES = 9000


def prepare(images: int) -> Callable[[], object]:
    """Write the records, the detections and the images of a run on so many images."""
    root = Path(tempfile.mkdtemp())
    # In a process of its own: memory that it leaves behind would be taken for what the report does not need.
    writer = get_context("spawn").Process(target=write_finished_run, args=(root, images, _LOG_LINES))
    writer.start()
    writer.join()
    if writer.exitcode:
        raise RuntimeError(f"writing the records ended with {writer.exitcode}")

    def run() -> str:
        write_report(parameters(), root)
        return f"report.html: {(root / REPORTS / 'report.html').stat().st_size / 1e6:.2f} MB"

    return run
