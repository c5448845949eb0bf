"""Boxes against the border of their image, whose size is known by now."""

import math

from deploy.runtime.text_files import is_whole
from pipeline.datasets.annotations import TOLERANCE, Annotations, clip_box
from pipeline.datasets.box_entries import Entry
from pipeline.datasets.coco import SourceSplit
from pipeline.datasets.findings import Findings

ROUNDING = 1e-5
"""Share of a side by which a box may leave its image for its shares having five decimals: clipped without a word."""


def check_boxes(annotations: Annotations, split: SourceSplit, notes: Findings) -> None:
    """Bring boxes into pixels and inside their images, or say which are not.

    Boxes of images without width and height, which have an error of their own, are left alone.
    """
    for place, entry in enumerate(annotations.objects):
        image = annotations.images[entry["image_id"]]
        if not is_whole(image["width"]) or not is_whole(image["height"]):
            continue
        if split.in_shares:
            entry = _in_pixels(entry, image["width"], image["height"])
            annotations.objects[place] = entry
        if (inside := _inside(entry, image, split, notes)) is not None:
            annotations.objects[place] = inside


def _inside(entry: Entry, image: Entry, split: SourceSplit, notes: Findings) -> Entry | None:
    """The entry with its box clipped; None where it stays as it is, inside or with an error."""
    box, width, height = entry["bbox"], image["width"], image["height"]
    clipped = clip_box(tuple(box), width, height, math.inf if split.outside == "clip" else TOLERANCE)
    if clipped == tuple(box) and min(clipped[2:]) >= 1:
        return None
    item, where = f"annotation {entry['id']}", (notes.named(f"image {image['id']}"), f"{width}x{height} pixels")
    if clipped is None or min(clipped[2:]) <= 0:
        cure = f"reaches outside {{}} ({{}}); correct it, or set `{split.section}.boxes_outside: clip` in params.yaml"
        left = "lies outside {} ({}), and nothing of it is left to clip; correct it or take it out"
        notes.error(item, f"bbox {{}} {left if split.outside == 'clip' else cure}", box, *where)
        return None
    if changed := clipped != tuple(box):
        notes.warning(item, "bbox {} reaches over the border of {} ({}); clipped to it", box, *where)
    if min(clipped[2:]) < 1:
        notes.warning(item, "bbox {} is under 1 px wide or high; training leaves such boxes out (mmdet)", box)
    # A mask's area stays where no more than a pixel's edge is cut off.
    cut = clip_box(tuple(box), width, height) is None
    area = min(entry["area"], clipped[2] * clipped[3]) if cut else entry["area"]
    return {**entry, "bbox": list(clipped), "area": area} if changed else None


def _in_pixels(entry: Entry, width: int, height: int) -> Entry:
    x, y, w, h = entry["bbox"]
    scaled = (x * width, y * height, w * width, h * height)
    box = clip_box(scaled, width, height, ROUNDING * max(width, height)) or scaled
    return {**entry, "bbox": list(box), "area": box[2] * box[3]}
