"""Make and validate the data set that ``params.yaml: data`` names."""

import argparse
import logging
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.datasets.findings import in_one_line
from pipeline.datasets.preparation import prepare
from pipeline.datasets.prepared import FINDINGS_FILE, UNLABELLED
from pipeline.layout import DATASET
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params

PARAMS = ("data",)

logger = logging.getLogger(__name__)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``data/prepared`` and show what it holds."""
    parser = argparse.ArgumentParser(prog="python -m stages.data", description=__doc__)
    parser.parse_args(argv)
    record = prepare(load_params().only(*PARAMS).data)
    for group in record.findings:
        logger.warning("%s", in_one_line(group, DATASET / FINDINGS_FILE))
    logger.info("%s, classes: %s", record.title, ", ".join(record.classes))
    shown = {**record.splits, **({UNLABELLED: record.unlabelled} if record.unlabelled else {})}
    logger.info("%-10s%8s%8s%8s", "split", "images", "boxes", "crowd")
    for name, split in shown.items():
        logger.info("%-10s%8d%8d%8d", name, split.images, split.boxes, split.crowd_boxes)


if __name__ == "__main__":
    main()
