"""How strongly a method pulls over the course of a training."""

from dataclasses import dataclass

from pipeline.errors import RecipeError


@dataclass(frozen=True)
class WeightSchedule:
    """A factor on all distillation losses, by iteration (1-based).

    It rises linearly to 1 over ``warmup`` iterations, stays there until ``decay_begin``, falls linearly to 0 at
    ``decay_end`` and stays 0: from then on the teacher is not run at all. The default is the constant 1 of the
    published results.

    Attributes:
        warmup: iterations until full weight; 0 starts with it.
        decay_begin: last iteration with full weight; none never decays.
        decay_end: first iteration without distillation; equal to ``decay_begin`` + 1 for a hard stop.

    Raises:
        RecipeError: the iterations are not in order, or only one end of the decay is given.
    """

    warmup: int = 0
    decay_begin: int | None = None
    decay_end: int | None = None

    def __post_init__(self) -> None:
        if (self.decay_begin is None) != (self.decay_end is None):
            raise RecipeError(
                "distillation.schedule: give both decay_begin and decay_end, or neither; "
                f"got {self.decay_begin} and {self.decay_end}"
            )
        points = [0, self.warmup]
        if self.decay_begin is not None and self.decay_end is not None:
            points += [self.decay_begin, self.decay_end - 1]
        if points != sorted(points):
            raise RecipeError(
                "distillation.schedule: 0 <= warmup <= decay_begin < decay_end is needed; got "
                f"{self.warmup}, {self.decay_begin}, {self.decay_end}"
            )

    def factor(self, iteration: int) -> float:
        """The factor in iteration ``iteration``, from 0 to 1."""
        if iteration <= self.warmup:
            return iteration / (self.warmup + 1)
        if self.decay_begin is None or self.decay_end is None or iteration <= self.decay_begin:
            return 1.0
        return max(0.0, (self.decay_end - iteration) / (self.decay_end - self.decay_begin))
