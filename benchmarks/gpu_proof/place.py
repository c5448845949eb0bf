"""Where a part computes, and what a check is."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu_proof.record import Numbers


class NotRun(Exception):
    """A check cannot run on this machine; the message says why."""


class Mismatch(Exception):
    """A check ran, and a number is not what it has to be; the message says which."""


@dataclass(frozen=True)
class Place:
    """Where the checks of a part compute.

    Attributes:
        device: the first CUDA device; the CPU in a rehearsal.
        rehearsal: the CPU stands in for the GPU and all sizes are toy sizes, to see that every check gets to its end.
        scratch: a folder of the part's own, which stays until the proof ends.
    """

    device: torch.device
    rehearsal: bool
    scratch: Path

    def synchronize(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def free(self) -> None:
        """Give back memory that nothing uses any more."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def is_healthy(self) -> bool:
        """Whether the device still computes: after an illegal access every call of the process fails."""
        try:
            total = torch.ones(8, device=self.device).sum().item()
            self.synchronize()
        except RuntimeError:
            return False
        return total == 8


@dataclass(frozen=True)
class Check:
    """One check of a part.

    ``run`` puts what it measures into the numbers as it goes, so that they are kept when it fails. It raises
    :class:`NotRun`, :class:`Mismatch`, or whatever breaks.
    """

    name: str
    run: Callable[[Numbers], None]


def expect(what: str, found: float, limit: float) -> None:
    """Raise :class:`Mismatch` where a number is above its limit or is no number."""
    if not found <= limit:
        raise Mismatch(f"{what} is {found:.3g}, the limit is {limit:.3g}")
