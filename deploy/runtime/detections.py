"""What a detector found in one image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.errors import ArtefactError


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes of one image, best score first.

    ``boxes`` float32 ``[n, 4]`` (x1, y1, x2, y2 in pixels of the original image), ``scores`` float32 ``[n]`` (0 to 1),
    ``labels`` int64 ``[n]``, indices into ``classes``.

    Raises:
        ValueError: the arrays differ in length, or a label is no index into ``classes``.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,) or self.labels.shape != (count,):
            shapes = [list(array.shape) for array in (self.boxes, self.scores, self.labels)]
            raise ValueError(f"boxes [n, 4], scores [n] and labels [n] are needed, got the shapes {shapes}")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels must be in 0..{len(self.classes) - 1}, got {np.unique(self.labels).tolist()}")

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def names(self) -> list[str]:
        """Class name of every detection."""
        return [self.classes[label] for label in self.labels]

    def above(self, score: float) -> "Detections":
        """The detections whose score is at least ``score``."""
        return self.select(self.scores >= score)

    def select(self, keep: NDArray[np.bool_]) -> "Detections":
        """The detections where ``keep`` ``[n]`` is true."""
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep])

    def to_coco(self, image_id: int, category_ids: Sequence[int]) -> list[dict[str, Any]]:
        """COCO results of one image: ``bbox`` is (x, y, width, height) in pixels of the original image.

        Args:
            category_ids: COCO category id of every class, in the order of ``classes``.
        """
        if len(category_ids) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes need as many category ids, got {len(category_ids)}")
        rows = zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        return [
            {
                "image_id": image_id,
                "category_id": category_ids[label],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
            }
            for (x1, y1, x2, y2), score, label in rows
        ]


def category_ids(classes: tuple[str, ...], categories: list[dict[str, Any]], artefact: str) -> list[int]:
    """Return the COCO category id of every class, matched by name.

    Raises:
        ArtefactError: a class of the artefact is no category of the data set, or the other way round.
    """
    ids = {category["name"]: int(category["id"]) for category in categories}
    if set(ids) != set(classes):
        raise ArtefactError(
            f"{artefact}: its classes are not the data set's: only in the artefact {sorted(set(classes) - set(ids))}, "
            f"only in the data {sorted(set(ids) - set(classes))}; export a model that was trained on this data set"
        )
    return [ids[name] for name in classes]
