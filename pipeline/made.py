"""What ``make repro`` says at its end: where the results are, and the report's first sentence."""

import argparse
import logging
from collections.abc import Sequence

from deploy.runtime.text_files import UnreadableText, read_text
from pipeline.cli import stage_main
from pipeline.errors import PipelineError
from pipeline.layout import ARTEFACTS, METRICS, REPORTS, SUMMARY

logger = logging.getLogger(__name__)


def made() -> list[str]:
    """Lines on the results in this folder; raises :class:`PipelineError` where the report was not made."""
    try:
        first = read_text(SUMMARY).strip()
    except UnreadableText as error:
        raise PipelineError(f"{SUMMARY}: {error}; `dvc repro report` writes it") from error
    count = len([*ARTEFACTS.glob("*.onnx")])
    return [
        f"report: {REPORTS / 'report.html'}; table: {METRICS} (dvc metrics show); {count} ONNX files: {ARTEFACTS}/",
        first,
    ]


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Say what the chain has made, and the one line that matters."""
    argparse.ArgumentParser(prog="python -m pipeline.made", description=main.__doc__).parse_args(argv)
    for line in made():
        logger.info("%s", line)


if __name__ == "__main__":
    main()
