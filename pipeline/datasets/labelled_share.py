"""The share of train whose boxes are used (``data.labelled_share``): the other images become pictures without boxes."""

from pipeline.datasets.findings import Findings
from pipeline.datasets.made_splits import images_to_split
from pipeline.datasets.split_assignment import labelling_order
from pipeline.datasets.validation import CheckedSplit


def divide_train(train: CheckedSplit, share: float, seed: int, notes: Findings) -> tuple[CheckedSplit, CheckedSplit]:
    """What of train keeps its boxes and what loses them, each in train's order.

    What a smaller share keeps, a larger one of the same seed keeps too. As many images as there are classes are enough
    for one of each class.

    Args:
        train: the whole split, valid.
        share: of the images that keep their boxes, under 1.
        seed: another one keeps others.
        notes: gets what was done, and an error where nothing is left to lose its boxes.
    """
    images = len(train.content["images"])
    count = max(1, round(share * images))
    if count == images:
        notes.error(
            "data.labelled_share",
            "{} of {} image(s) leaves none without boxes; give a smaller share, or 1.0 for all boxes",
            *(share, images),
        )
    kept = set(labelling_order(images_to_split(train.content), seed)[:count])
    labelled = train.only(sorted(kept))
    rest = train.only([place for place in range(images) if place not in kept])
    notes.warning(
        "data.labelled_share",
        "boxes of {} of {} images are used, by seed {}; the other {} join the pictures without boxes",
        *(count, images, seed, images - count),
    )
    lost = train.boxed_categories() - labelled.boxed_categories()
    for entry in train.content["categories"]:
        if entry["id"] in lost:
            text = "{!r} has no box among the images that keep theirs (data.labelled_share)"
            notes.warning(f"category {entry['id']}", text, entry["name"])
    return labelled, rest
