"""Give boxes to pictures that have none, by what the teacher (or an artefact) finds in them."""

import argparse
import logging
from collections.abc import Sequence

from pipeline.cli import stage_main
from pipeline.datasets.prepared import read_dataset
from pipeline.label_records import LabelRecord, in_words
from pipeline.layout import DATASET, LABELS, LABELS_RECORD, PSEUDO_LABELS
from pipeline.one_at_a_time import one_at_a_time
from pipeline.settings import load_params
from pipeline.storage import fresh_directory

PARAMS = ("label", "train.device")

logger = logging.getLogger(__name__)


@stage_main
@one_at_a_time
def main(argv: Sequence[str] | None = None) -> None:
    """Write ``data/labels``: the record ``labels.json`` and, where there are pictures, ``pseudo_labels.json``."""
    parser = argparse.ArgumentParser(prog="python -m stages.label", description=__doc__)
    parser.parse_args(argv)
    params = load_params().only(*PARAMS)
    dataset = read_dataset(DATASET)
    sources = [*filter(None, [dataset.unlabelled]), *([dataset.splits["train"]] if params.label.labelled else [])]
    with fresh_directory(LABELS) as scratch:
        record = LabelRecord(by=None)
        if sources:
            # Imported here: without pictures to label, this stage is over before torch is there.
            from deploy.labelling.labelling import label_pictures

            record = label_pictures(params, DATASET, sources, scratch / PSEUDO_LABELS.name)
        record.write(scratch / LABELS_RECORD.name)
    logger.info("%s", in_words(record))


if __name__ == "__main__":
    main()
