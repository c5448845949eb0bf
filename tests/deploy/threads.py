"""One backend from several threads at once: what it gives has to be what it gives to one thread."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from deploy.runtime.backends import Backend, RawDetections
from deploy.runtime.errors import BackendClosed

THREADS = 5
OUTPUTS = ("boxes", "scores", "labels", "num_dets")


@contextmanager
def _many_switches() -> Iterator[None]:
    """Threads change places as often as Python lets them, so that few calls show what many would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def assert_threads_change_nothing(backend: Backend, batches: Sequence[np.ndarray], rounds: int = 3) -> None:
    """Every thread gets the results of the batches that it hands in, as one thread alone does."""
    alone = [backend.run(batch) for batch in batches]
    # A backend that gives everybody the same would pass.
    assert len({raw.boxes.tobytes() for raw in alone}) == len(batches)
    with _many_switches(), ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(backend.run, [*batches] * rounds))
    for place, found in enumerate(together):
        for name in OUTPUTS:
            wanted = getattr(alone[place % len(batches)], name)
            np.testing.assert_array_equal(getattr(found, name), wanted, err_msg=f"{name} of call {place}")


def assert_closing_is_clear(backend: Backend, batches: Sequence[np.ndarray]) -> None:
    """Closed while threads run, a backend gives right results or says that it is closed, and stays closed."""
    alone = [backend.run(batch) for batch in batches]

    def run_until_closed(thread: int) -> list[tuple[int, RawDetections]]:
        found: list[tuple[int, RawDetections]] = []

        def run_forever() -> None:
            while True:
                place = (thread + len(found)) % len(batches)
                found.append((place, backend.run(batches[place])))
                if len(found) == 3:
                    backend.close()

        with pytest.raises(BackendClosed, match=rf"^{backend.name}: the detector is closed; open the artefact again"):
            run_forever()
        return found

    with _many_switches(), ThreadPoolExecutor(THREADS) as pool:
        together = [each for found in pool.map(run_until_closed, range(THREADS)) for each in found]
    assert len(together) >= 3
    for place, found in together:
        np.testing.assert_array_equal(found.boxes, alone[place].boxes)
    backend.close()
    with pytest.raises(BackendClosed):
        backend.run(batches[0])
