"""Which images of train keep their boxes."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.findings import Findings
from pipeline.datasets.labelled_share import divide_train
from pipeline.datasets.validation import CheckedSplit

CLASSES = ("cat", "dog", "owl")
LABELS = st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=4)


def train_of(labels: list[list[tuple[int, bool]]]) -> CheckedSplit:
    """A split whose images have boxes of these categories; true: a crowd box."""
    boxes = [(image, category, crowd) for image, some in enumerate(labels, 1) for category, crowd in some]
    return CheckedSplit(
        {
            "images": [{"id": n, "file_name": f"{n}.jpg", "width": 9, "height": 8} for n in range(1, len(labels) + 1)],
            "annotations": BoxEntries(
                {"id": n, "image_id": image, "category_id": category, "bbox": [0, 0, 4, 4], "iscrowd": int(crowd)}
                for n, (image, category, crowd) in enumerate(boxes, 1)
            ),
            "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES, 1)],
        },
        [f"hash {n}" for n in range(1, len(labels) + 1)],
    )


def names(split: CheckedSplit) -> list[str]:
    return [entry["file_name"] for entry in split.content["images"]]


@given(
    st.lists(LABELS, min_size=2, max_size=40),
    st.lists(st.floats(0.01, 0.99), min_size=2, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_shares_are_nested_and_keep_every_class(labels, shares, seed):
    train = train_of(labels)
    assume(train.boxed_categories())
    kept: set[str] = set()
    for share in sorted(shares):
        labelled, rest = divide_train(train, share, seed, Findings("train.json"))
        assert sorted(names(labelled) + names(rest)) == sorted(names(train))
        assert len(names(labelled)) == max(1, round(share * len(labels)))
        assert kept <= {*names(labelled)}
        kept = {*names(labelled)}
        ids = {entry["id"] for entry in labelled.content["images"]}
        expected = [entry for entry in train.content["annotations"] if entry["image_id"] in ids]
        assert labelled.content["annotations"] == expected
        assert labelled.boxed_categories()
        if len(kept) >= len(train.boxed_categories()):
            assert labelled.boxed_categories() == train.boxed_categories()
        hashes = dict(zip(names(train), train.hashes, strict=True))
        assert labelled.hashes + rest.hashes == [hashes[name] for name in names(labelled) + names(rest)]


def test_what_is_done_is_told_and_a_class_that_is_lost_is_named():
    notes = Findings("train.json")
    labelled, rest = divide_train(train_of([[(1, False)]] * 6 + [[(2, False)]] * 4), 0.1, 3, notes)
    assert (len(names(labelled)), len(names(rest))) == (1, 9)
    told, lost = notes.found
    assert (told.severity, told.item) == ("warning", "data.labelled_share")
    assert told.message == "boxes of 1 of 10 images are used, by seed 3; the other 9 join the pictures without boxes"
    assert (lost.item, lost.message) == (
        "category 1",
        "'cat' has no box among the images that keep theirs (data.labelled_share)",
    )


@pytest.mark.parametrize(("images", "share"), [(1, 0.1), (3, 0.9)])
def test_a_share_that_takes_no_image_is_an_error_with_a_cure(images, share):
    notes = Findings("train.json")
    divide_train(train_of([[(1, False)]] * images), share, 0, notes)
    (error,) = [finding for finding in notes.found if finding.severity == "error"]
    assert error.message == (
        f"{share} of {images} image(s) leaves none without boxes; give a smaller share, or 1.0 for all boxes"
    )


def test_another_seed_keeps_other_images():
    train = train_of([[(1 + n % 3, False)] for n in range(60)])
    kept = [names(divide_train(train, 0.2, seed, Findings(""))[0]) for seed in (0, 0, 1)]
    assert kept[0] == kept[1] != kept[2]
