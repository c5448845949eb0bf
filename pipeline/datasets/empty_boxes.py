"""Boxes of no width or height, which are left out where the user asks for it (``boxes_without_area: drop``)."""

import math

from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.findings import Findings


def without_empty_boxes(content: object, section: str, notes: Findings) -> object:
    """Leave out boxes of no width or height, each with a finding; whatever else is wrong is validation's to say.

    Args:
        content: of a COCO json; a copy is returned where anything is left out.
        section: where in ``params.yaml`` it was asked for.
        notes: gets the findings.
    """
    entries = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(entries, list | BoxEntries):
        return content
    kept = BoxEntries()
    for position, entry in enumerate(entries):
        if _is_empty(entry):
            item = f"annotation {entry['id']}" if "id" in entry else f"annotations[{position}]"
            notes.warning(item, f"bbox {{}} has no area; left out ({section}.boxes_without_area: drop)", entry["bbox"])
        else:
            kept.append(entry)
    return {**content, "annotations": kept}


def _is_empty(entry: object) -> bool:
    box = entry.get("bbox") if isinstance(entry, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(type(value) in (int, float) for value in box):
        return False
    # A whole number may have more digits than a float, which isfinite makes of it.
    finite = all(isinstance(value, int) or math.isfinite(value) for value in box)
    return finite and min(box[2:]) == 0
