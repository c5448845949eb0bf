"""Pictures with pseudo-labels beside the coloured squares."""

import json
from pathlib import Path


def write_pseudo_labels(
    target: Path, root: Path, names: list[str], boxes: list[tuple[int, list[float], float, int]]
) -> None:
    """Write what the stage ``label`` does.

    Args:
        target: the file.
        root: the prepared data set, which holds ``images/train``.
        names: file names there.
        boxes: place in ``names``, x, y, width and height, score, 1 for uncertain; all of the class ``dark``.
    """
    images = [
        {"id": place, "file_name": f"images/train/{name}", "width": 64, "height": 64}
        for place, name in enumerate(names, start=1)
    ]
    annotations = [
        {
            "id": number,
            "image_id": place + 1,
            "category_id": 2,
            "bbox": box,
            "area": box[2] * box[3],
            "score": score,
            "iscrowd": uncertain,
        }
        for number, (place, box, score, uncertain) in enumerate(boxes, start=1)
    ]
    categories = [{"id": 1, "name": "bright"}, {"id": 2, "name": "dark"}]
    target.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    assert all((root / image["file_name"]).is_file() for image in images)  # type: ignore[operator]
