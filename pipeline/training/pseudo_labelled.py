"""Training pictures with boxes that people drew, and pictures with those that a detector found (pseudo-labels)."""

from typing import Any

from mmdet.datasets import CocoDataset

from pipeline.detectors.box_weights import coded_label
from pipeline.errors import TrainingError
from pipeline.layout import PSEUDO_LABELS
from pipeline.storage import sha256_of


def pseudo_labels_sha256() -> str:
    """The hash of what the stage ``label`` wrote; raises :class:`TrainingError` where there is nothing."""
    if not PSEUDO_LABELS.is_file():
        raise TrainingError(
            f"{PSEUDO_LABELS}: no such file, and the student is to learn from pictures without boxes (`unlabelled` in "
            "params.yaml); run `dvc repro label`"
        )
    return sha256_of(PSEUDO_LABELS)


class PseudoLabelledCoco(CocoDataset):
    """A :class:`CocoDataset` with the pictures of a second file behind its own, whose boxes have a ``score``.

    A box there counts its score; one that is uncertain (``iscrowd``) counts nothing, and neither does what lies in it
    (:mod:`pipeline.detectors.box_weights`). Pictures of the second file stay whatever ``filter_cfg`` says: one without
    a box is background that a detector is sure of.

    Args:
        pseudo_labels: COCO json of the second file.
        pseudo_root: the folder of its ``file_name`` entries.
        arguments: those of mmdet's.

    Attributes:
        labelled: number of pictures with boxes that people drew; they come first.
    """

    def __init__(self, *, pseudo_labels: str, pseudo_root: str, **arguments: Any) -> None:
        self._second = {"ann_file": pseudo_labels, "data_prefix": {"img": pseudo_root}}
        self._reads_second = False
        self.labelled = 0
        super().__init__(**arguments)

    def load_data_list(self) -> list[dict[str, Any]]:
        """The pictures of both files, in mmdet's form."""
        own: list[dict[str, Any]] = super().load_data_list()
        first = {name: getattr(self, name) for name in (*self._second, "cat_img_map")}
        self.__dict__ |= self._second
        self.labelled, self._reads_second = len(own), True
        try:
            return own + super().load_data_list()
        finally:
            self.__dict__ |= first
            self._reads_second = False

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """One picture, in mmdet's form."""
        info: dict[str, Any] = super().parse_data_info(raw_data_info)
        if self._reads_second:
            classes = len(self.metainfo["classes"])
            for instance, box in zip(info["instances"], raw_data_info["raw_ann_info"], strict=True):
                weight = 0.0 if instance["ignore_flag"] else box["score"]
                instance["bbox_label"] = coded_label(instance["bbox_label"], weight, classes)
        return info

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out what ``filter_cfg`` says of the pictures that people labelled."""
        whole: list[dict[str, Any]] = vars(self)["data_list"]
        self.data_list, rest = whole[: self.labelled], whole[self.labelled :]
        kept: list[dict[str, Any]] = super().filter_data()
        self.labelled = len(kept)
        return kept + rest
