"""A run over many cases: which there are, and who runs them."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tqdm import tqdm

from benchmarks.fuzz import workers
from benchmarks.fuzz.cases import Case, Kind, Result
from benchmarks.fuzz.failures import case_of, keep
from benchmarks.fuzz.workers import Worker, kind_of, preload


def cases_of(kinds: dict[str, Kind], seed: int, count: int) -> Iterator[Case]:
    """At least ``count`` cases over all kinds by their shares, and at least one of every sample."""
    whole = sum(kind.share for kind in kinds.values())
    for name, kind in kinds.items():
        samples = list(kind.samples)
        for number in range(max(len(samples), math.ceil(count * kind.share / whole))):
            yield Case(name, samples[number % len(samples)], seed, number)


def run(names: Sequence[str], seed: int, count: int, jobs: int, out: Path) -> list[Result]:
    """Run cases of the named kinds; inputs that failed are kept in ``out``."""
    preload(names)
    kinds = {name: kind_of(name) for name in names}
    cases = list(cases_of(kinds, seed, count))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, ThreadPoolExecutor(jobs) as pool:
        idle: SimpleQueue[Worker] = SimpleQueue()
        team = [_worker(Path(folder), number, names) for number in range(jobs)]
        for worker in team:
            idle.put(worker)

        def one(case: Case) -> Result:
            worker = idle.get()
            try:
                return worker.run(case)
            finally:
                idle.put(worker)

        results = []
        try:
            for result in tqdm(pool.map(one, cases), total=len(cases), unit="case", disable=None):
                results.append(result)
                if result.outcome.is_failure:
                    keep(result, kinds[result.case.kind], out)
        finally:
            pool.shutdown(cancel_futures=True)
            for worker in team:
                worker.close()
    return results


def replay(path: Path) -> Result:
    """Run an input that was kept."""
    case = case_of(path)
    preload([case.kind])
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        worker = _worker(Path(folder), 0, [case.kind])
        try:
            return worker.run(case, path.read_bytes())
        finally:
            worker.close()


def _worker(folder: Path, number: int, names: Sequence[str]) -> Worker:
    own = folder / str(number)
    own.mkdir()
    return Worker(own, names, workers.LIMIT_S)
