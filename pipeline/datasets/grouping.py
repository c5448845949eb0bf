"""Positions that belong together, by pairs that do."""

from collections import defaultdict
from collections.abc import Hashable, Sequence


class Groups:
    """Disjoint groups of the positions 0 to ``count`` - 1, of one each until some are joined."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def group_of(self, place: int) -> int:
        """A position of its group, the same for all that are in it now."""
        parents = self._parents
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    def join(self, first: int, second: int) -> None:
        """Make one group of those of two positions."""
        self._parents[self.group_of(first)] = self.group_of(second)

    def lists(self) -> list[list[int]]:
        """All groups."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for place in range(len(self._parents)):
            found[self.group_of(place)].append(place)
        return list(found.values())


def pairs_of_equal(keys: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Each position with the one before it that has the same key; None is no key."""
    latest: dict[Hashable, int] = {}
    pairs = []
    for place, key in enumerate(keys):
        if key is not None:
            if key in latest:
                pairs.append((latest[key], place))
            latest[key] = place
    return pairs


def joined(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The groups that so many positions come to when those of each pair are in one."""
    groups = Groups(count)
    for first, second in pairs:
        groups.join(first, second)
    return groups.lists()
