"""What was found on the images of a split, as columns: half a million detections without an object for each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detections import Detections


@dataclass(frozen=True, eq=False)
class DetectionColumns:
    """``N`` detections: COCO's results.

    Attributes:
        image: ``[N]`` int64, ids.
        category: ``[N]`` int64, ids.
        box: ``[N, 4]`` float64, x, y, width, height in pixels of the original image.
        score: ``[N]`` float64, 0 to 1.
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def none(cls) -> Self:
        """No detection."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))

    @classmethod
    def joined(cls, found: Iterable[tuple[int, Detections]], category_ids: Sequence[int]) -> Self:
        """The detections of one image after the other.

        Args:
            found: id of each image, and what was found in it.
            category_ids: COCO category id of every class, in the order of the detections' classes.

        Raises:
            ValueError: there are not as many category ids as classes.
        """
        ids, parts = np.asarray(category_ids, np.int64), [cls.none()]
        for image, item in found:
            if len(ids) != len(item.classes):
                raise ValueError(f"{len(item.classes)} classes need as many category ids, got {len(ids)}")
            box = item.boxes.astype(np.float64)
            box[:, 2:] -= box[:, :2]
            parts.append(cls(np.full(len(item), image), ids[item.labels], box, item.scores.astype(np.float64)))
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def taken(self, which: NDArray[Any]) -> Self:
        """Those at ``which``, positions or a mask."""
        return replace(self, **{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def results(self) -> list[dict[str, Any]]:
        """COCO results: ``{image_id, category_id, bbox: [x, y, width, height], score}``."""
        columns = (getattr(self, field.name).tolist() for field in fields(self))
        return [
            {"image_id": image, "category_id": category, "bbox": box, "score": score}
            for image, category, box, score in zip(*columns, strict=True)
        ]

    def write(self, path: Path) -> None:
        """Write them for :meth:`read`."""
        with path.open("wb") as stream:
            np.savez(stream, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what :meth:`write` wrote; nothing in the file is run."""
        with np.load(path, allow_pickle=False) as content:
            return cls(*(content[field.name] for field in fields(cls)))
