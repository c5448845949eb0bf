"""Pictures that look alike, and those that only have something in common."""

import cv2
import numpy as np
import pytest

from pipeline.datasets import near_duplicates
from pipeline.datasets.grouping import joined
from pipeline.datasets.near_duplicates import alike, is_alike, look, looks


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


def test_a_look_is_of_the_pixels_whatever_the_file(tmp_path) -> None:
    grey = scene(3, 400, 600)
    paths = [tmp_path / name for name in ("a.png", "b.jpg", "c.bmp", "none.png", "broken.jpg")]
    for path in paths[:3]:
        cv2.imwrite(str(path), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    paths[4].write_bytes(paths[1].read_bytes()[:40])
    png, jpeg, bmp, *unread = looks(paths)
    assert png == bmp == look(grey)
    assert is_alike(png, jpeg)
    assert unread == [0, 0]


def test_any_size_has_a_look() -> None:
    for height, width in ((1, 1), (3, 200), (16, 17), (5, 5)):
        assert look(np.arange(height * width, dtype=np.uint8).reshape(height, width)) >= 0
