"""Which images are held out: a seeded choice by groups of images that must not be parted, stratified by class.

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
    spread = Counter(label for image in images for label in image.classes)
    strata: defaultdict[str, list[tuple[bytes, Sequence[int]]]] = defaultdict(list)
    for group in groups:
        present = {label for place in group for label in images[place].classes}
        rarest = min(present, key=lambda label: (spread[label], label), default="")
        # The least hash of its members: one more leaves a group where it is, or moves it forward.
        strata[rarest].append((min(_hash(seed, "image", images[place].name) for place in group), group))
    assigned: list[MadeSplit] = ["train"] * len(images)
    largest = max(strata, key=lambda label: (len(strata[label]), label), default="")
    for label, ranked in strata.items():
        ranked.sort(key=lambda entry: entry[0])
        sizes = [len(group) for _, group in ranked]
        wanted = _wanted(label, sum(sizes), shares, seed, least=label == largest)
        for (_, group), split in zip(ranked, _placed(sizes, wanted), strict=True):
            for place in group:
                assigned[place] = split
    return assigned


def _wanted(label: str, images: int, shares: Mapping[MadeSplit, float], seed: int, least: bool) -> dict[MadeSplit, int]:
    """How many images of a stratum each held-out split is to get; with ``least`` one at least.

    A part of an image is rounded up as often as it is large, by a hash of the class: so many small strata together
    give what one large one would.
    """
    counts: dict[MadeSplit, int] = {}
    for split, share in shares.items():
        fraction = int.from_bytes(_hash(seed, "stratum", split, label)[:8], "big") / 2**64
        count = int(images * share + fraction)
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


def _hash(seed: int, *parts: str) -> bytes:
    text = "\0".join((str(seed), *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
