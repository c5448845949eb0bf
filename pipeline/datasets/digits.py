"""``digits``: a composed data set, real handwritten digits pasted onto real aerial photos.

The 1,797 digits are scikit-learn's (UCI Optical Recognition of Handwritten Digits, 8x8 pixels, 10 classes). The
splits share neither a digit nor a pixel of a photo. Every picture has a random stream of its own, derived from
(seed, split, index), and the pixels are computed in integers, so that pictures do not depend on order or processes.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from deploy.runtime.resources import usable_cores
from pipeline.dataset_settings import DataSettings, DigitsSettings
from pipeline.datasets import photos
from pipeline.datasets.coco import Box, CocoWriter, Source, SourceSplit
from pipeline.datasets.photos import PHOTOS, SPLITS, Region, Split
from pipeline.errors import DatasetError

CLASSES = tuple(str(digit) for digit in range(10))
CREDITS = [
    "Digits: scikit-learn load_digits, UCI Optical Recognition of Handwritten Digits (CC BY 4.0), doi:10.24432/C50P49",
    *photos.CREDITS,
]

# Digits of a picture, their side in pixels at 256 px, their opacity in percent.
COUNT = (3, 5)
SIDE = (22, 72)
OPACITY = (50, 90)
# From which mask level (of 255) a pixel counts as visible.
VISIBLE = 64
# How far a blended digit's colour is at least from the mean colour under it (Euclidean, levels of 255 per channel).
# Any ground leaves a colour 220 levels away, which is 110 at the lowest opacity.
CONTRAST = 90
# Pixels between the regions that the photos are cut into.
GUARD = 40

_SHARES: dict[Split, float] = {"train": 0.60, "val": 0.15, "test": 0.25}
_ATTEMPTS = 100

Image = NDArray[np.uint8]
Mask = NDArray[np.int32]


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: ``images`` uint8 ``[N, 8, 8]`` (0 to 255) and ``labels`` int ``[N]``."""

    images: Image
    labels: NDArray[np.int64]


def make(settings: DataSettings, cache_dir: Path, folder: Path) -> Source:
    """Compose all pictures into ``folder/images/<split>``; a data set function as in :mod:`pipeline.datasets.coco`."""
    wheel = photos.fetch_photos(cache_dir)
    backgrounds = {photo.name: photos.read_photo(wheel, photo) for photo in PHOTOS}
    digits = load_digits()
    splits: dict[str, SourceSplit] = {
        split: SourceSplit(
            annotations=f"{split}.json",
            content=_write_split(settings.digits, split, digits, backgrounds, folder / "images" / split),
            image_root=folder / "images" / split,
        )
        for split in SPLITS
    }
    return Source("Composed: handwritten digits on aerial photos", True, CREDITS, splits)


def load_digits() -> Digits:
    """Read the 1,797 digits that scikit-learn ships."""
    # Imported here: it takes a second, and readers of prepared data do not need it.
    from sklearn.datasets import load_digits as load

    bunch = load()
    return Digits((bunch.images * 255 / 16).round().astype(np.uint8), np.asarray(bunch.target, np.int64))


def split_digits(labels: NDArray[np.int64], split: Split, seed: int) -> NDArray[np.int64]:
    """Return the indices of the digits that belong to ``split``: shuffled by ``seed`` and shared out class by class."""
    chosen = []
    for label in range(len(CLASSES)):
        members = np.random.default_rng([seed, label]).permutation(np.flatnonzero(labels == label))
        before = sum(_SHARES[earlier] for earlier in SPLITS[: SPLITS.index(split)])
        chosen.append(members[round(len(members) * before) : round(len(members) * (before + _SHARES[split]))])
    return np.sort(np.concatenate(chosen))


def compose(
    settings: DigitsSettings,
    split: Split,
    index: int,
    digits: Digits,
    members: NDArray[np.int64],
    regions: Sequence[tuple[Region, Image]],
) -> tuple[Image, list[Box]]:
    """Compose one picture.

    Args:
        settings: picture size and seed.
        split: the split, part of the random stream's key.
        index: number of the picture in its split, the other part.
        digits: all digits; only ``members`` are used.
        members: indices of the digits of this split.
        regions: regions of this split with their photo, BGR uint8 ``[H, W, 3]``; all at least as large as a picture.

    Returns:
        The picture, BGR uint8 ``[size, size, 3]``, and its boxes, tight around the visible pixels, disjoint.
    """
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), index])
    picture = _background(rng, settings.image_size, regions)
    largest = max(SIDE[0], min(SIDE[1], SIDE[1] * settings.image_size // 256))
    boxes: list[Box] = []
    taken: list[Box] = []
    for _ in range(rng.integers(COUNT[0], COUNT[1] + 1)):
        digit = int(members[rng.integers(len(members))])
        glyph = _glyph(digits.images[digit], int(rng.integers(SIDE[0], largest + 1)))
        place = _free_place(rng, glyph.shape, settings.image_size, taken)
        if place is None:
            continue
        taken.append(place)
        _blend(rng, picture[place.y1 : place.y2, place.x1 : place.x2], glyph)
        boxes.append(_visible_box(int(digits.labels[digit]), place, glyph))
    return picture, boxes


def _write_split(
    settings: DigitsSettings, split: Split, digits: Digits, backgrounds: dict[str, Image], folder: Path
) -> object:
    members = split_digits(digits.labels, split, settings.seed)
    regions = _fitting_regions(split, settings.image_size, backgrounds)
    writer = CocoWriter(CLASSES)
    folder.mkdir(parents=True)
    count = getattr(settings, split)

    def write(index: int) -> list[Box]:
        picture, boxes = compose(settings, split, index, digits, members, regions)
        photos.write_png(folder / _name(index), picture)
        return boxes

    with ThreadPoolExecutor(usable_cores()) as pool:
        written = tqdm(pool.map(write, range(count)), f"composing {split}", count, unit="picture", disable=None)
        for index, boxes in enumerate(written):
            writer.add(_name(index), settings.image_size, settings.image_size, boxes)
    return writer.content


def _name(index: int) -> str:
    return f"{index:05d}.png"


def _fitting_regions(split: Split, size: int, backgrounds: dict[str, Image]) -> list[tuple[Region, Image]]:
    regions = photos.split_regions(split, GUARD)
    fitting = [(region, backgrounds[region.photo]) for region in regions if min(region.width, region.height) >= size]
    if not fitting:
        limit = max(min(region.width, region.height) for region in regions)
        raise DatasetError(
            f"data.digits.image_size = {size} is larger than every photo region of {split}; choose {limit} or less"
        )
    return fitting


def _background(rng: np.random.Generator, size: int, regions: Sequence[tuple[Region, Image]]) -> Image:
    places = np.cumsum([(region.width - size + 1) * (region.height - size + 1) for region, _ in regions])
    region, photo = regions[int(np.searchsorted(places, rng.integers(places[-1]), side="right"))]
    x = int(rng.integers(region.x1, region.x2 - size + 1))
    y = int(rng.integers(region.y1, region.y2 - size + 1))
    crop = photo[y : y + size, x : x + size]
    if rng.integers(2):
        crop = crop[:, ::-1]
    return crop.copy()


def _glyph(digit: Image, side: int) -> Mask:
    scaled = cv2.resize(digit, (side, side), interpolation=cv2.INTER_LINEAR_EXACT)
    rows, columns = np.flatnonzero(scaled.any(1)), np.flatnonzero(scaled.any(0))
    return scaled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.int32)


def _free_place(rng: np.random.Generator, shape: tuple[int, ...], size: int, taken: Sequence[Box]) -> Box | None:
    height, width = shape
    for _ in range(_ATTEMPTS):
        x = int(rng.integers(size - width + 1))
        y = int(rng.integers(size - height + 1))
        if all(x >= o.x2 or x + width <= o.x1 or y >= o.y2 or y + height <= o.y1 for o in taken):
            return Box(0, x, y, x + width, y + height)
    return None


def _blend(rng: np.random.Generator, ground: Image, glyph: Mask) -> None:
    opacity = int(rng.integers(OPACITY[0], OPACITY[1] + 1))
    weight = (glyph * opacity)[:, :, None]
    tint = _tint(rng, ground[glyph >= VISIBLE], opacity)
    ground[:] = (ground * (25500 - weight) + tint * weight + 12750) // 25500


def _tint(rng: np.random.Generator, covered: Image, opacity: int) -> Mask:
    mean = covered.astype(np.int64).sum(0) // len(covered)
    while True:
        tint = rng.integers(0, 256, 3, dtype=np.int32)
        if ((tint - mean) ** 2).sum() * opacity**2 >= (CONTRAST * 100) ** 2:
            return tint


def _visible_box(label: int, place: Box, glyph: Mask) -> Box:
    rows, columns = np.flatnonzero((glyph >= VISIBLE).any(1)), np.flatnonzero((glyph >= VISIBLE).any(0))
    x, y = place.x1, place.y1
    return Box(label, x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1)
