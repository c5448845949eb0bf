"""Contenders that are open at once: as many as there is room for, the others in further groups.

The reference is in every group, so that what took turns in different groups can be compared through it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from deploy.runtime.images import Image
from deploy.runtime.resources import memory_left

_SHARE = 0.5
"""Of the memory that is free before a group is opened, what must stay free."""
_LONG_CALL = 0.5
"""Seconds: a first call that takes longer has told what a call takes."""


@dataclass(frozen=True)
class Contender:
    """An artefact under a backend; None is the first backend that runs it here."""

    artefact: str
    backend: str | None


@dataclass(frozen=True)
class Opened:
    """A contender that is open and has run, its ``place`` among all of them, and the seconds that a call takes."""

    place: int
    detector: Detector
    seconds: float


@dataclass(frozen=True)
class Refused:
    """A contender that could not be opened or run, alone with the reference."""

    contender: Contender
    error: Exception


class Entrants:
    """Contenders on their way in: each is opened once, when there is room for it, and closed with its group.

    Args:
        batch: decoded BGR images of one call, at least one.
        threads: CPU threads of every contender; 0 is every core.
        sessions: most of them that are open at once, two at least.
        left: bytes of memory that are free; None where the system does not say.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        batch: Sequence[Image],
        threads: int,
        sessions: int,
        left: Callable[[], int | None] = memory_left,
    ) -> None:
        self.refused: list[Refused] = []
        self._contenders = contenders
        self._waiting = deque(range(len(contenders)))
        self._batch = batch
        self._threads = threads
        self._sessions = sessions
        self._left = left

    def groups(self, reference: Callable[[], int]) -> Iterator[list[Opened]]:
        """Open one group after the other; each is closed when the next one is asked for.

        Args:
            reference: the place of the contender that is the first of every group but the first one; asked for once
                the first group has run.

        Raises:
            ArtefactError, BackendUnavailable: the reference cannot be opened or run again.
        """
        first: list[int] = []
        while self._waiting:
            with ExitStack() as stack:
                group = self._group(stack, first)
                if len(group) > len(first):
                    yield group
                    first = [reference()]

    def _group(self, stack: ExitStack, first: Sequence[int]) -> list[Opened]:
        group: list[Opened] = []
        free = [self._left()]

        def enter(place: int) -> None:
            group.append(self._enter(stack, place))
            free.append(self._left())

        for place in first:
            enter(place)
        while self._waiting and has_room(free, self._sessions):
            try:
                enter(self._waiting[0])
            except (ArtefactError, BackendUnavailable, MemoryError) as error:
                if len(group) > len(first):
                    # It may have been the others that left it no room: it is tried again without them.
                    break
                self.refused.append(Refused(self._contenders[self._waiting[0]], error))
            self._waiting.popleft()
        return group

    def _enter(self, stack: ExitStack, place: int) -> Opened:
        contender = self._contenders[place]
        with ExitStack() as own:
            detector = own.enter_context(open_detector(contender.artefact, contender.backend, self._threads))
            seconds = self._call(detector)
            if seconds < _LONG_CALL:
                seconds = min(seconds, self._call(detector))
            stack.push(own.pop_all())
        return Opened(place, detector, seconds)

    def _call(self, detector: Detector) -> float:
        start = perf_counter()
        detector.timed(self._batch)
        return perf_counter() - start


def has_room(free: Sequence[int | None], sessions: int) -> bool:
    """Whether one more may be opened: always a second one, and at most ``sessions`` in half of the free memory.

    Args:
        free: bytes of memory that were free before the first one was opened and after each; None: not known.
    """
    opened = len(free) - 1
    if opened < 2:
        return True
    known = [value for value in free if value is not None]
    if opened >= sessions or len(known) < len(free):
        return opened < sessions
    largest = max(before - after for before, after in pairwise(known))
    return known[-1] - largest >= _SHARE * known[0]
