"""Pictures that look alike, and those that only have something in common."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import near_duplicates
from pipeline.datasets.grouping import joined
from pipeline.datasets.near_duplicates import KnownLooks, alike, is_alike, look, look_of


def scene(seed: int, height: int = 200, width: int = 300) -> np.ndarray:
    """Soft blobs of grey, as a photo has them."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (7, 9), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


COPIES = {
    "brighter": lambda grey: np.clip(grey.astype(float) * 1.15 + 8, 0, 255).astype(np.uint8),
    "half the size": lambda grey: cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "noise": lambda grey: np.clip(grey + np.random.default_rng(1).normal(0, 6, grey.shape), 0, 255).astype(np.uint8),
    "jpeg": lambda grey: cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
    "the next frame": lambda grey: cv2.copyMakeBorder(grey, 0, 0, 3, 0, cv2.BORDER_REPLICATE)[:, :-3],
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_alike_and_other_scenes_are_not(copy: str) -> None:
    originals = [look(scene(seed)) for seed in range(20)]
    copies = [look(COPIES[copy](scene(seed))) for seed in range(20)]
    assert all(map(is_alike, originals, copies))
    assert not any(is_alike(originals[a], copies[b]) for a in range(20) for b in range(20) if a != b)


def test_a_plain_picture_is_like_no_other() -> None:
    plain = look(np.full((50, 60), 200, np.uint8))
    assert plain == 0
    assert alike([plain, plain]) == []


def test_pairs_join_all_that_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [look(COPIES[name](scene(seed))) for seed in range(5) for name in COPIES]
    groups = {frozenset(divmod(place, len(COPIES))[0] for place in pair) for pair in alike(found)}
    assert groups == {frozenset({seed}) for seed in range(5)}
    assert sorted(map(len, joined(len(found), alike(found)))) == [len(COPIES)] * 5
    monkeypatch.setattr(near_duplicates, "_SEEN", 1)
    assert len(joined(len(found), alike(found))) < 10


def test_thousands_of_frames_of_one_camera_are_one_group_in_time() -> None:
    random = np.random.default_rng(0)
    still = look(scene(1))
    frames = [still ^ (1 << int(random.integers(512))) ^ (1 << int(random.integers(512))) for _ in range(3000)]
    pairs = alike(frames)
    assert len(pairs) == 2999
    assert len(joined(3000, pairs)) == 1


def test_a_look_is_of_the_pixels_whatever_the_file() -> None:
    grey = scene(3, 400, 600)
    whole = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    contents = [cv2.imencode(suffix, whole)[1].tobytes() for suffix in (".png", ".jpg", ".bmp")]
    png, jpeg, bmp, *unread = (look_of(content, "x") for content in (*contents, b"", contents[1][:40]))
    assert png == bmp == look(grey)
    assert is_alike(png, jpeg)
    assert unread == [0, 0]


def test_what_is_decoded_already_gives_the_same_look() -> None:
    for height, width in ((400, 600), (90, 200)):  # an eighth of the second has fewer columns than a look
        whole = cv2.cvtColor(scene(3, height, width), cv2.COLOR_GRAY2BGR)
        jpeg, png = (cv2.imencode(suffix, whole)[1] for suffix in (".jpg", ".png"))
        eighth = cv2.imdecode(jpeg, cv2.IMREAD_REDUCED_GRAYSCALE_8)
        assert look_of(jpeg.tobytes(), "x", eighth=eighth) == look_of(jpeg.tobytes(), "x") != 0
        assert look_of(png.tobytes(), "x", whole=whole) == look_of(png.tobytes(), "x") != 0


LOOKS = st.integers(0, 2**512 - 1) | st.sampled_from([0, 1, 2**511, 2**512 - 1])


@given(st.lists(LOOKS, max_size=6), st.lists(st.tuples(st.integers(0, 9), LOOKS), max_size=6), st.integers(1, 3))
def test_the_first_known_look_that_is_alike_is_found_whichever_it_is(known, wild, at_once) -> None:
    # A known look, or a wild one, with some bits of another.
    found = [(known[place] if place < len(known) else 0) ^ (other & other >> 2) for place, other in wild]
    expected = [next((p for p, each in enumerate(known) if is_alike(each, one)), None) for one in found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_AT_ONCE", at_once)
        assert KnownLooks(known).first_alike(found) == expected


def test_any_size_has_a_look() -> None:
    for height, width in ((1, 1), (3, 200), (16, 17), (5, 5)):
        assert look(np.arange(height * width, dtype=np.uint8).reshape(height, width)) >= 0
