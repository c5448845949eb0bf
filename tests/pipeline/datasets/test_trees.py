import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset_settings import DataSettings, TreesSettings
from pipeline.datasets import photos
from pipeline.datasets.pascal_voc import NamedBox
from pipeline.datasets.photos import Region
from pipeline.datasets.trees import counted, cut, make, views
from pipeline.errors import DatasetError


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    size=st.integers(64, 256),
    overlap=st.integers(0, 60),
)
def test_tiles_cover_the_region_and_stay_inside(width, height, size, overlap):
    region = Region("photo", 13, 7, 13 + width, 7 + height)
    covered = np.zeros((height, width), bool)
    for tile in cut(region, size, overlap):
        assert (tile.width, tile.height) == (min(size, width), min(size, height))
        assert tile.x1 >= 13
        assert tile.y1 >= 7
        covered[tile.y1 - 7 : tile.y2 - 7, tile.x1 - 13 : tile.x2 - 13] = True
        assert tile.x2 <= region.x2
        assert tile.y2 <= region.y2
    assert covered.all()


@given(length=st.integers(257, 3000), overlap=st.integers(0, 128))
def test_neighbouring_tiles_overlap_enough_and_are_no_more_than_needed(length, overlap):
    starts = [tile.x1 for tile in cut(Region("photo", 0, 0, length, 100), 256, overlap)]
    assert all(256 - (after - before) >= overlap for before, after in itertools.pairwise(starts))
    assert (len(starts) - 1) * 256 - (len(starts) - 2) * overlap < length


def test_an_overlap_of_a_whole_tile_is_an_error():
    with pytest.raises(DatasetError, match=r"data\.trees\.overlap = 64 .* data\.trees\.tile_size = 64"):
        cut(Region("photo", 0, 0, 500, 500), 64, 64)


def test_a_crown_is_clipped_to_each_tile_that_shows_it():
    tiles = [Region("photo", 0, 0, 100, 100), Region("photo", 80, 0, 180, 100), Region("photo", 300, 0, 400, 100)]
    crowns = [NamedBox("Tree", 60, 10, 100, 30), NamedBox("Tree", 150, 90, 170, 130)]
    shown = views(crowns, tiles)
    assert [(view.crown, view.tile, view.visible) for view in shown] == [(0, 0, 1.0), (0, 1, 0.5), (1, 1, 0.25)]
    boxes = [(view.box.x1, view.box.y1, view.box.x2, view.box.y2) for view in shown]
    assert boxes == [(60, 10, 100, 30), (0, 10, 20, 30), (70, 90, 90, 100)]


def test_half_a_crown_counts_and_less_does_not():
    tiles = [Region("photo", 0, 0, 100, 100)]
    shown = views([NamedBox("Tree", 90, 0, 110, 10), NamedBox("Tree", 91, 0, 111, 10)], tiles)
    assert [view.crown for view in counted(shown, once=False)] == [0]


def test_in_evaluation_a_crown_counts_where_most_of_it_is_seen():
    tiles = [Region("photo", 0, 0, 100, 100), Region("photo", 50, 0, 150, 100), Region("photo", 60, 0, 160, 100)]
    crowns = [NamedBox("Tree", 80, 0, 120, 10), NamedBox("Tree", 70, 0, 90, 10)]
    shown = views(crowns, tiles)
    assert len(counted(shown, once=False)) == 6
    assert sorted((view.crown, view.tile) for view in counted(shown, once=True)) == [(0, 1), (1, 0)]


@pytest.fixture(scope="module")
def trees(photo_cache, tmp_path_factory):
    return make(DataSettings(name="trees"), photo_cache, tmp_path_factory.mktemp("trees"))


def tiles_of(source, split):
    tiles = []
    for image in source.splits[split].content["images"]:
        photo, x, y = image["file_name"].removesuffix(".png").rsplit("_", 2)
        tiles.append(Region(photo, int(x), int(y), int(x) + image["width"], int(y) + image["height"]))
    return tiles


def test_tiles_of_two_splits_are_a_guard_band_apart(trees):
    guard = TreesSettings().guard
    for first, second in itertools.combinations(trees.splits, 2):
        for a, b in itertools.product(tiles_of(trees, first), tiles_of(trees, second)):
            gap = max(a.x1 - b.x2, b.x1 - a.x2, a.y1 - b.y2, b.y1 - a.y2)
            assert a.photo != b.photo or gap >= guard


def test_both_photos_are_in_train_val_and_test_and_the_other_site_is_ood(trees):
    names = {split: sorted({tile.photo[:4] for tile in tiles_of(trees, split)}) for split in trees.splits}
    assert names == {"train": ["2019"], "val": ["2019"], "test": ["2019"], "ood": ["OSBS"]}
    assert all(len({tile.photo for tile in tiles_of(trees, split)}) == 2 for split in ("train", "val", "test"))


def test_every_evaluation_crown_counts_once(trees):
    counts = {}
    for split, source in trees.splits.items():
        objects = [entry for entry in source.content["annotations"] if not entry["iscrowd"]]
        counts[split] = len(objects)
        assert len(objects) < len(source.content["annotations"])
    # OSBS_029.xml lists 61 crowns, all inside the photo; the two YELL photos 574 + 279, some in the guard bands.
    assert counts["ood"] == 61
    assert 150 <= counts["val"] <= 250
    assert 200 <= counts["test"] <= 280
    assert counts["val"] + counts["test"] < 574 + 279 < counts["train"] + counts["val"] + counts["test"] + 200


def test_photos_without_crowns_give_tiles_only_where_asked(trees, photo_cache, tmp_path):
    assert trees.unlabelled is None
    asked = DataSettings(name="trees", trees=TreesSettings(unlabelled=True))
    made = make(asked, photo_cache, tmp_path)
    assert made.unlabelled == tmp_path / "images" / "unlabelled"
    assert {split: tiles_of(made, split) for split in made.splits} == {s: tiles_of(trees, s) for s in trees.splits}
    names = sorted(path.name for path in made.unlabelled.iterdir())
    assert names == [f"SOAP_0{n}1_{x}_{y}.png" for n in (3, 6) for x in (0, 144) for y in (0, 144)]
    tiles = [cv2.imread(str(made.unlabelled / name), cv2.IMREAD_COLOR) for name in names]
    assert {tile.shape for tile in tiles} == {(256, 256, 3)}
    photo = photos.read_photo(photos.fetch_photos(photo_cache), photos.WITHOUT_CROWNS[1])
    assert np.array_equal(tiles[5], photo[144:, :256])


def test_tile_files_hold_the_pixels_of_their_place(trees, photo_cache):
    photo = photos.read_photo(photos.fetch_photos(photo_cache), photos.OUT_OF_DOMAIN)
    root = trees.splits["ood"].image_root
    for tile, image in zip(tiles_of(trees, "ood"), trees.splits["ood"].content["images"], strict=True):
        pixels = cv2.imread(str(root / image["file_name"]), cv2.IMREAD_COLOR)
        assert np.array_equal(pixels, photo[tile.y1 : tile.y2, tile.x1 : tile.x2])
