"""Which images are held out, and which keep their boxes: seeded choices, stratified by class.

Held out is by groups of images that must not be parted.

The stratum of a group is the rarest class in it, so that a class of few images has its share in each split. Within a
stratum, groups stand in the order of a hash of seed and file name, and the first are test, the next val. So an image
that is added moves three others at most, of its own stratum, as long as images are not in groups and it does not change
which class is rarer than which. Nothing depends on the order in which images are listed, or on the machine.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MadeSplit = Literal["train", "val", "test"]


@dataclass(frozen=True)
class ImageToSplit:
    """An image: its file name, which is its own, and the classes that it has boxes of."""

    name: str
    classes: frozenset[str]


def assign(
    images: Sequence[ImageToSplit], groups: Iterable[Sequence[int]], shares: Mapping[MadeSplit, float], seed: int
) -> list[MadeSplit]:
    """The split of each image.

    Args:
        images: all of them.
        groups: positions of images that stay together; each position is in one group.
        shares: of the images that are held out, ``test`` before ``val``; what is left is train.
        seed: another one gives other splits.
    """
    strata = _strata(images, groups, seed)
    assigned: list[MadeSplit] = ["train"] * len(images)
    largest = max(strata, key=lambda label: (len(strata[label]), label), default="")
    for label, ranked in strata.items():
        sizes = [len(group) for group in ranked]
        wanted = _wanted(label, sum(sizes), shares, seed, least=label == largest)
        for group, split in zip(ranked, _placed(sizes, wanted), strict=True):
            for place in group:
                assigned[place] = split
    return assigned


def labelling_order(images: Sequence[ImageToSplit], seed: int) -> list[int]:
    """Positions of the images in the order in which they keep their boxes; so many of them, the first are the choice.

    The first ones have a picture of each class, the rarest class first, so that K of them have all K classes. The
    others go through all strata alike: of any beginning each stratum has its share, to an image.
    """
    moments: dict[int, tuple[float, bytes]] = {}
    for label, ranked in _strata(images, [[place] for place in range(len(images))], seed).items():
        offset = _fraction(seed, "order", label)
        for rank, (place,) in enumerate(ranked):
            moments[place] = ((rank + offset) / len(ranked), _hash(seed, "image", images[place].name))
    order = sorted(moments, key=moments.__getitem__)
    first = _one_of_each_class(images, order)
    chosen = {*first}
    return [*first, *(place for place in order if place not in chosen)]


def _one_of_each_class(images: Sequence[ImageToSplit], order: Sequence[int]) -> list[int]:
    first: dict[str, int] = {}
    for place in order:
        for label in images[place].classes:
            first.setdefault(label, place)
    spread = _spread(images)
    chosen: list[int] = []
    seen: set[str] = set()
    for label in sorted(first, key=lambda label: (spread[label], label)):
        if label not in seen:
            chosen.append(first[label])
            seen |= images[first[label]].classes
    return chosen


def _spread(images: Iterable[ImageToSplit]) -> Counter[str]:
    return Counter(label for image in images for label in image.classes)


def _strata(
    images: Sequence[ImageToSplit], groups: Iterable[Sequence[int]], seed: int
) -> dict[str, list[Sequence[int]]]:
    """The groups by the rarest class in each, in the order of their hashes."""
    spread = _spread(images)
    strata: defaultdict[str, list[tuple[bytes, Sequence[int]]]] = defaultdict(list)
    for group in groups:
        present = {label for place in group for label in images[place].classes}
        rarest = min(present, key=lambda label: (spread[label], label), default="")
        # The least hash of its members: one more leaves a group where it is, or moves it forward.
        strata[rarest].append((min(_hash(seed, "image", images[place].name) for place in group), group))
    ranked = {label: sorted(some, key=lambda entry: entry[0]) for label, some in strata.items()}
    return {label: [group for _, group in some] for label, some in ranked.items()}


def _wanted(label: str, images: int, shares: Mapping[MadeSplit, float], seed: int, least: bool) -> dict[MadeSplit, int]:
    """How many images of a stratum each held-out split is to get; with ``least`` one at least.

    A part of an image is rounded up as often as it is large, by a hash of the class: so many small strata together
    give what one large one would.
    """
    counts: dict[MadeSplit, int] = {}
    for split, share in shares.items():
        count = int(images * share + _fraction(seed, "stratum", split, label))
        counts[split] = max(count, 1) if least and share else count
    return counts


def _placed(sizes: Sequence[int], wanted: Mapping[MadeSplit, int]) -> list[MadeSplit]:
    """The split of each group in order: the first that still lacks half of it or more. One stays in train."""
    left = dict(wanted)
    placed: list[MadeSplit] = []
    for size in sizes:
        split: MadeSplit = next((split for split, count in left.items() if size / 2 <= count), "train")
        if split in left:
            left[split] -= size
        placed.append(split)
    if placed and "train" not in placed:
        placed[-1] = "train"
    return placed


def _fraction(seed: int, *parts: str) -> float:
    return int.from_bytes(_hash(seed, *parts)[:8], "big") / 2**64


def _hash(seed: int, *parts: str) -> bytes:
    text = "\0".join((str(seed), *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
