"""A split of a prepared data set, as all but the data stage read it: its images, categories and boxes.

What a user's own json may hold wrong is found and told by the data stage, which reads it in a way of its own.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deploy.runtime.errors import ArtefactError
from deploy.runtime.regular_files import read_regular


@dataclass(frozen=True)
class Split:
    """The lists of a COCO json, in the order of the file."""

    images: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    annotations: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a split.

        Raises:
            ArtefactError: the file is missing or none that the data stage wrote.
        """
        try:
            content = json.loads(read_regular(path))
            return cls(content["images"], content["categories"], content["annotations"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ArtefactError(f"{path}: no split of a prepared data set ({error}); run `dvc repro data`") from error

    @property
    def files(self) -> list[str]:
        """File names of the images."""
        return [image["file_name"] for image in self.images]
