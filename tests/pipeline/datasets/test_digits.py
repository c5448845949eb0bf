import hashlib
import itertools

import numpy as np
import pytest

from pipeline.dataset_settings import DataSettings, DigitsSettings
from pipeline.datasets.digits import COUNT, SIDE, Digits, compose, load_digits, make, split_digits
from pipeline.datasets.photos import SPLITS, Region, split_regions
from pipeline.errors import DatasetError

SETTINGS = DigitsSettings()


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def ground(value: int | None = None, size: int = 300) -> list:
    """One region with a flat (``value``) or a noisy photo; pixels outside the region are pure white."""
    photo = np.full((size + 50, size + 50, 3), 255, np.uint8)
    noise = np.random.default_rng(0).integers(0, 120, (size, size, 3), np.uint8)
    photo[50:, 50:] = noise if value is None else value
    return [(Region("flat", 50, 50, size + 50, size + 50), photo)]


def picture(digits, index, regions, split="train", settings=SETTINGS):
    return compose(settings, split, index, digits, split_digits(digits.labels, split, settings.seed), regions)


def test_every_digit_belongs_to_exactly_one_split(digits):
    members = {split: split_digits(digits.labels, split, seed=0) for split in SPLITS}
    assert sorted(np.concatenate(list(members.values()))) == list(range(1797))
    shares = [len(members[split]) / 1797 for split in SPLITS]
    assert shares == pytest.approx([0.60, 0.15, 0.25], abs=0.005)


def test_every_class_is_in_every_split_with_its_share(digits):
    whole = np.bincount(digits.labels)
    for split, share in zip(SPLITS, (0.60, 0.15, 0.25), strict=True):
        found = np.bincount(digits.labels[split_digits(digits.labels, split, seed=0)])
        assert np.abs(found - whole * share).max() <= 1


def test_the_seed_decides_which_digits_a_split_has(digits):
    first, second = (set(split_digits(digits.labels, "test", seed)) for seed in (0, 1))
    assert first == set(split_digits(digits.labels, "test", 0))
    assert len(first & second) < 0.5 * len(first)


def test_a_picture_uses_only_the_digits_of_its_split(digits):
    only = Digits(digits.images, np.full(1797, 3))
    members = split_digits(digits.labels, "val", 0)
    only.labels[members] = 5
    for index in range(10):
        _, boxes = compose(SETTINGS, "val", index, only, members, ground())
        assert {box.label for box in boxes} == {5}


def test_a_picture_shows_only_pixels_of_its_region(digits):
    for index in range(10):
        image, boxes = picture(digits, index, ground(90))
        untouched = np.ones(image.shape[:2], bool)
        for box in boxes:
            untouched[max(box.y1 - 12, 0) : box.y2 + 12, max(box.x1 - 12, 0) : box.x2 + 12] = False
        assert untouched.sum() > 10_000
        assert (image[untouched] == 90).all()


def test_pictures_do_not_depend_on_the_order_in_which_they_are_made(digits):
    forwards = [picture(digits, index, ground()) for index in range(4)]
    backwards = [picture(digits, index, ground()) for index in reversed(range(4))][::-1]
    for (first, boxes), (second, others) in zip(forwards, backwards, strict=True):
        assert np.array_equal(first, second)
        assert boxes == others
    assert not np.array_equal(forwards[0][0], forwards[1][0])


def test_seed_and_split_change_the_picture(digits):
    base = picture(digits, 0, ground())[0]
    assert not np.array_equal(base, picture(digits, 0, ground(), split="test")[0])
    assert not np.array_equal(base, picture(digits, 0, ground(), settings=DigitsSettings(seed=1))[0])


def test_a_picture_is_the_same_bytes_on_every_machine(digits):
    image, boxes = picture(digits, 7, ground())
    assert (
        hashlib.sha256(image.tobytes()).hexdigest()
        == "761268c3b6a9c992016d4bf9da1ac1cf02d5d46a4ffa34e2dca4e65d13d382cd"
    )
    assert [(box.label, box.x1, box.y1, box.x2, box.y2) for box in boxes] == [
        (1, 45, 196, 79, 240),
        (2, 80, 64, 98, 87),
        (2, 108, 27, 128, 59),
        (2, 206, 105, 230, 135),
        (3, 103, 146, 155, 211),
    ]


def test_boxes_are_inside_the_picture_and_disjoint(digits):
    for index in range(60):
        _, boxes = picture(digits, index, ground())
        assert COUNT[0] <= len(boxes) <= COUNT[1]
        for box in boxes:
            assert 0 <= box.x1 < box.x2 <= 256
            assert 0 <= box.y1 < box.y2 <= 256
            assert max(box.x2 - box.x1, box.y2 - box.y1) <= SIDE[1]
        for a, b in itertools.combinations(boxes, 2):
            assert a.x2 <= b.x1 or b.x2 <= a.x1 or a.y2 <= b.y1 or b.y2 <= a.y1


def test_boxes_are_tight_around_the_pixels_that_changed(digits):
    for index in range(20):
        image, boxes = picture(digits, index, ground(100))
        change = np.abs(image.astype(int) - 100).max(2)
        for box in boxes:
            part = change[box.y1 : box.y2, box.x1 : box.x2]
            # An independent threshold: a quarter of the glyph's own strongest change.
            rows, columns = (
                np.flatnonzero((part >= part.max() / 4).any(1)),
                np.flatnonzero((part >= part.max() / 4).any(0)),
            )
            assert max(rows[0], columns[0], part.shape[0] - 1 - rows[-1], part.shape[1] - 1 - columns[-1]) <= 1


def test_digits_stand_out_from_their_ground(digits):
    for index in range(20):
        image, boxes = picture(digits, index, ground(100))
        distance = np.sqrt(((image.astype(float) - 100) ** 2).sum(2))
        for box in boxes:
            assert distance[box.y1 : box.y2, box.x1 : box.x2].max() >= 85


def test_the_default_test_split_has_at_least_a_thousand_boxes(digits):
    fewest = min(len(picture(digits, index, ground(), split="test")[1]) for index in range(100))
    assert fewest * SETTINGS.test >= 1000


def test_small_pictures_have_digits_too(digits):
    image, boxes = picture(digits, 0, ground(), settings=DigitsSettings(image_size=64))
    assert image.shape == (64, 64, 3)
    assert boxes
    assert all(box.x2 <= 64 and box.y2 <= 64 for box in boxes)


def test_a_picture_larger_than_the_photos_is_an_error(photo_cache, tmp_path):
    settings = DataSettings(digits=DigitsSettings(image_size=2400, train=1, val=1, test=1))
    largest = max(min(region.width, region.height) for region in split_regions("train", 40))
    with pytest.raises(DatasetError, match=rf"image_size = 2400 .* of train; choose {largest} or less"):
        make(settings, photo_cache, tmp_path)
