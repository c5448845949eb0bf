"""After which iterations a training is validated."""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ValidationTimes:
    """``val_interval`` and ``dynamic_intervals`` of a recipe, as mmengine's loops take them.

    Attributes:
        interval: between validations, in the unit that the training counts in.
        changes: from which milestone on another interval holds, and that interval, in the same unit.
        last: the whole training in that unit; its end is always validated.
        unit: iterations of one unit.
    """

    interval: int
    changes: Sequence[tuple[int, int]]
    last: int
    unit: int = 1

    def has(self, iteration: int) -> bool:
        """Whether the training is validated once so many iterations are done."""
        done, rest = divmod(iteration, self.unit)
        return not rest and (done == self.last or done % self._interval(done) == 0)

    def _interval(self, done: int) -> int:
        # mmengine takes the interval of the unit that comes next.
        begun = bisect([milestone for milestone, _ in self.changes], done + 1)
        return self.changes[begun - 1][1] if begun else self.interval
