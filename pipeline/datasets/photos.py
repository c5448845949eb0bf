"""The aerial photos behind both embedded data sets, and the regions that keep their splits apart.

Source: NEON airborne RGB imagery with hand-drawn crowns, packed in the DeepForest 2.1.0 wheel (MIT licence).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.downloads import fetch_wheel, read_member
from pipeline.errors import DatasetError

REQUIREMENT = "deepforest==2.1.0"
SHA256 = "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54"
CREDITS = [
    "Aerial photos: National Ecological Observatory Network (NEON), airborne RGB camera, sites YELL and OSBS",
    "Crown boxes and packaging: DeepForest 2.1.0 (MIT), Weinstein et al. 2020, doi:10.1111/2041-210X.13472",
]
CREDIT_WITHOUT_CROWNS = "Pictures without boxes: NEON's site SOAP, of the same package"

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

# Shares of each photo along its axis; val of the smaller photo just holds one 256 px tile.
_SHARES: dict[Split, float] = {"train": 0.53, "val": 0.23, "test": 0.24}


@dataclass(frozen=True)
class Photo:
    """One photo of the wheel. ``axis`` is the one it is cut along: ``y`` gives rows of regions, ``x`` columns."""

    name: str
    width: int
    height: int
    axis: Literal["x", "y"]


@dataclass(frozen=True)
class Region:
    """A rectangle of a photo in pixels, the right and lower edges exclusive."""

    photo: str
    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.y2 - self.y1


# The axes are the ones along which the crowns are spread evenly: the big photo has a bare meadow on its left.
PHOTOS = (
    Photo("2019_YELL_2_528000_4978000_image_crop2", 2299, 2472, "y"),
    Photo("2019_YELL_2_541000_4977000_image_crop", 1249, 1035, "x"),
)
OUT_OF_DOMAIN = Photo("OSBS_029", 400, 400, "x")
# A third site. Of the first the package has no crowns; the other's are named by whether the trees live, a rule of its
# own, and are not read.
WITHOUT_CROWNS = (Photo("SOAP_031", 400, 400, "x"), Photo("SOAP_061", 400, 400, "x"))


def split_regions(split: Split, guard: int) -> list[Region]:
    """Return the regions of a split, one per photo; regions of two splits are at least ``guard`` pixels apart.

    Raises:
        DatasetError: the guard bands leave no room on a photo.
    """
    return [_region(photo, split, guard) for photo in PHOTOS]


def _region(photo: Photo, split: Split, guard: int) -> Region:
    length = photo.width if photo.axis == "x" else photo.height
    usable = length - guard * (len(SPLITS) - 1)
    if usable < len(SPLITS) * 64:
        raise DatasetError(f"data.trees.guard = {guard} px leaves no room on {photo.name} ({length} px); choose less")
    before = sum(_SHARES[earlier] for earlier in SPLITS[: SPLITS.index(split)])
    start = round(usable * before) + guard * SPLITS.index(split)
    end = length if split == SPLITS[-1] else start + round(usable * (before + _SHARES[split])) - round(usable * before)
    if photo.axis == "x":
        return Region(photo.name, start, 0, end, photo.height)
    return Region(photo.name, 0, start, photo.width, end)


def fetch_photos(cache_dir: Path) -> Path:
    """Return the wheel that holds the photos; raises :class:`pipeline.downloads.DownloadError`."""
    return fetch_wheel(REQUIREMENT, SHA256, cache_dir)


def read_photo(wheel: Path, photo: Photo) -> NDArray[np.uint8]:
    """Decode one photo to BGR uint8 ``[height, width, 3]``."""
    pixels = cv2.imdecode(np.frombuffer(read_member(wheel, f"deepforest/data/{photo.name}.png"), np.uint8), 1)
    if pixels is None or pixels.shape != (photo.height, photo.width, 3):
        raise DatasetError(f"{wheel}: {photo.name}.png is no photo of {photo.width}x{photo.height} pixels; delete it")
    return np.asarray(pixels, np.uint8)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a BGR image losslessly, stored and not deflated.

    Photos hardly shrink (by a seventh), and deflated bytes depend on the CPU: zlib-ng, which OpenCV may be built
    with, searches for matches in its own way on each. Stored, equal pixels are equal files, and hashes, everywhere.
    """
    done, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    if not done:
        raise DatasetError(f"{path}: the image could not be encoded as PNG")
    path.write_bytes(encoded.tobytes())
