"""Splits that are made: seeded, stratified, whole groups, and nearly the same after an image is added."""

from collections import Counter
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.datasets.split_assignment import ImageToSplit, MadeSplit, assign, labelling_order

SHARES: dict[MadeSplit, float] = {"test": 0.15, "val": 0.2}
LABELS = st.frozensets(st.sampled_from(["cat", "dog", "owl", "rare bird"]), max_size=3)


def images_of(classes: list[frozenset[str]]) -> list[ImageToSplit]:
    return [ImageToSplit(f"{place:04}.jpg", some) for place, some in enumerate(classes)]


def alone(images: list[ImageToSplit]) -> list[list[int]]:
    return [[place] for place in range(len(images))]


def by_name(images: list[ImageToSplit], seed: int = 0, **shares: float) -> dict[str, str]:
    split = assign(images, alone(images), shares or SHARES, seed)  # type: ignore[arg-type]
    return dict(zip([image.name for image in images], split, strict=True))


def test_known_splits_stay_the_same_on_every_machine() -> None:
    images = images_of([frozenset({"cat"})] * 12 + [frozenset({"dog", "cat"})] * 8)
    held_out = {name: split for name, split in by_name(images).items() if split != "train"}
    assert held_out == {
        "0000.jpg": "val",
        "0006.jpg": "test",
        "0007.jpg": "val",
        "0009.jpg": "test",
        "0012.jpg": "val",
        "0014.jpg": "val",
        "0015.jpg": "test",
        "0019.jpg": "test",
    }
    assert by_name(images, seed=1) != by_name(images)


@given(st.lists(LABELS, min_size=1, max_size=60), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_count(classes: list[frozenset[str]], seed: int, random: Random) -> None:
    images = images_of(classes)
    shuffled = images.copy()
    random.shuffle(shuffled)
    assert by_name(images, seed) == by_name(shuffled, seed)


@given(st.lists(LABELS, min_size=1, max_size=80), st.integers(0, 2**32 - 1))
def test_each_class_has_its_share_and_train_some_of_each(classes: list[frozenset[str]], seed: int) -> None:
    images = images_of(classes)
    split = by_name(images, seed)
    spread = Counter(label for some in classes for label in some)
    strata = Counter(min(some, key=lambda label: (spread[label], label), default="") for some in classes)
    held = Counter(
        (min(image.classes, key=lambda label: (spread[label], label), default=""), split[image.name])
        for image in images
    )
    for label, count in strata.items():
        assert held[label, "train"] >= 1
        for name, share in SHARES.items():
            assert held[label, name] <= max(1, count * share + 1)
            if held[label, "train"] > 1:
                assert held[label, name] > count * share - 1


def ranked(images: list[ImageToSplit]) -> list[str]:
    spread = Counter(label for image in images for label in image.classes)
    return sorted(spread, key=lambda label: (spread[label], label))


@given(st.lists(LABELS, min_size=40, max_size=70), LABELS, st.integers(0, 2**32 - 1), st.text(max_size=5))
def test_an_image_that_is_added_moves_three_others_at_most(
    classes: list[frozenset[str]], new: frozenset[str], seed: int, name: str
) -> None:
    images = images_of(classes)
    more = [*images, ImageToSplit(f"new {name}.jpg", new)]
    assume([label for label in ranked(more) if label in ranked(images)] == ranked(images))
    before, after = by_name(images, seed), by_name(more, seed)
    assert len([name for name in before if before[name] != after[name]]) <= 3


def test_groups_are_never_parted() -> None:
    images = images_of([frozenset({"cat"})] * 90)
    groups = [list(range(start, start + size)) for start, size in ((0, 30), (30, 5), (35, 5), (40, 10), (50, 1))]
    groups += [[place] for place in range(51, 90)]
    for seed in range(20):
        split = assign(images, groups, SHARES, seed)
        assert all(len({split[place] for place in group}) == 1 for group in groups)
        assert {*split} == {"train", "val", "test"}


def test_many_rare_classes_give_together_what_is_asked_for() -> None:
    images = images_of([frozenset({f"class {place // 3}"}) for place in range(900)])
    found = Counter(by_name(images).values())
    assert found["test"] == pytest.approx(135, abs=35)
    assert found["val"] == pytest.approx(180, abs=40)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_stay_in_train(count: int) -> None:
    assert "train" in by_name(images_of([frozenset({"cat"})] * count)).values()


def test_a_share_of_nothing_holds_nothing_out() -> None:
    images = images_of([frozenset({"cat"})] * 30)
    assert {*by_name(images, test=0, val=0.2).values()} == {"train", "val"}


def labelled(images: list[ImageToSplit], seed: int = 0) -> list[str]:
    return [images[place].name for place in labelling_order(images, seed)]


def test_a_known_order_of_labelling_stays_the_same_on_every_machine() -> None:
    images = images_of([frozenset({"cat"})] * 5 + [frozenset({"dog", "cat"})] * 3)
    assert [name[3] for name in labelled(images)] == list("60374152")
    assert labelled(images, seed=1) != labelled(images)


@given(st.lists(LABELS, min_size=1, max_size=60), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_any_beginning_has_every_class_and_of_each_stratum_its_share(
    classes: list[frozenset[str]], seed: int, random: Random
) -> None:
    images = images_of(classes)
    order = labelled(images, seed)
    assert sorted(order) == sorted(image.name for image in images)
    spread = Counter(label for some in classes for label in some)
    of = {image.name: image.classes for image in images}
    assert frozenset().union(*(of[name] for name in order[: len(spread)])) == {*spread}
    strata = Counter(min(some, key=lambda label: (spread[label], label), default="") for some in classes)
    # An image of each stratum, and the first ones, of which each class needs one, come before their turn.
    early = len(strata) + len(spread)
    for count in range(len(order)):
        held = Counter(min(of[name], key=lambda label: (spread[label], label), default="") for name in order[:count])
        for label, size in strata.items():
            assert abs(held[label] - size * count / len(order)) <= 1 + len(spread) + early * size / len(order)
    shuffled = images.copy()
    random.shuffle(shuffled)
    assert labelled(shuffled, seed) == order
