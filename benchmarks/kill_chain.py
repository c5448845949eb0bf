"""Kills a whole chain again and again, and compares what comes out with an undisturbed run, file by file.

Two copies of the project run the smoke chain. One is left alone. In the other, `dvc repro` is killed (SIGKILL) after a
random time, in one of three ways: its whole process group, as a power cut or a job's time limit does; the stage alone,
as the kernel does when memory is short; or dvc alone, which leaves the stage running. Then `dvc repro` is started
again, as a user would. At the end every result must be equal, but for times and what depends on them.

    python -m benchmarks.kill_chain --kills 20 --seed 0
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from pipeline.cli import stage_main
from pipeline.dvc_state import RWLOCK, mend_rwlock
from pipeline.errors import PipelineError
from pipeline.storage import sha256_of

OUT = Path("build/kill_chain")
WAYS = ("group", "stage", "dvc")
RESULTS = ("build/recipes", "data/prepared", "models", "artefacts", "reports")
MEASURED = (
    "reports/benchmark",
    "reports/comparison.json",
    "reports/chosen.json",
    "reports/report",
    "reports/figures",
    "reports/engine",
)
"""Times, and what is drawn of them."""
VOLATILE = {"seconds", "images_per_second", "peak_memory_bytes", "resumed", "duration_s", "search_seconds"}
"""Keys of records that hold times, memory or the number of kills themselves."""
PATIENCE_S = 600
LEFT_RUNNING = ("runs already", "another process trains")
"""What the next run says of a stage that a killed dvc left."""


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Run both copies and print what was killed and what differs; exit status 1 if anything does."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_chain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=20, help="at least so many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the times and ways of the kills (%(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the two copies (%(default)s)")
    given = parser.parse_args(argv)
    whole = copy_of_project(given.out / "undisturbed")
    started = time.monotonic()
    _finish(_start(whole), whole)
    length = time.monotonic() - started
    ways: Counter[str] = Counter()
    rounds = 0
    # A chain that is through before there are enough kills is run once more from the start.
    while ways.total() < given.kills:
        killed = copy_of_project(given.out / f"killed{rounds}")
        ways += kill_until_finished(killed, random.Random(given.seed + rounds), given.kills - ways.total(), length)
        rounds += 1
        if different := differences(whole, killed):
            raise PipelineError(f"after {ways.total()} kills, different in {killed}:\n  " + "\n  ".join(different))
    count = len(list(results(whole)))
    listed = ", ".join(f"{ways[way]} of {way}" for way in WAYS)
    print(f"{ways.total()} kills ({listed}) in {rounds} chain(s): {count} files equal, 0 different")


def copy_of_project(target: Path) -> Path:
    """The files that git knows, as a DVC project of its own with the smoke profile; in the place of an earlier copy."""
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout.split(b"\0")
    for name in map(os.fsdecode, filter(None, listed)):
        if Path(name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target / name)
    (target / "dvc.lock").unlink(missing_ok=True)
    Path(".cache").mkdir(exist_ok=True)
    (target / ".cache").symlink_to(Path(".cache").resolve())
    subprocess.run(["dvc", "config", "--quiet", "--local", "core.no_scm", "true"], cwd=target, check=True)
    profile = [sys.executable, "-m", "pipeline.profiles", "rehearsal", "smoke"]
    smoke = subprocess.run(profile, cwd=target, capture_output=True, check=True).stdout
    (target / "params.yaml").write_bytes(smoke)
    return target.resolve()


def kill_until_finished(project: Path, chance: random.Random, kills: int, length: float) -> Counter[str]:
    """Start the chain and kill it, so many times or until it is through; then let it end. Returns how it was killed.

    Args:
        length: seconds of an undisturbed chain. The times between kills are even over 2.5 of it shared among the kills:
            each of them undoes some of what was done.
    """
    ways: Counter[str] = Counter()
    bar = tqdm(total=kills, desc="kills", unit="kill")
    while ways.total() < kills:
        said = len(_log_of(project))
        process = _start(project)
        try:
            process.wait(chance.uniform(1, 2.5 * length / max(kills, 1) + 8))
        except subprocess.TimeoutExpired:
            way = chance.choice(WAYS)
            if _kill(process, way):
                ways[way] += 1
                bar.update()
        else:
            if process.returncode == 0:
                break
            if not any(text in _log_of(project)[said:] for text in LEFT_RUNNING):
                raise PipelineError(f"{project}: the chain failed:\n  {_end_of_log(project)}")
            _wait_for_orphans(project)
    bar.close()
    _wait_for_orphans(project)
    _finish(_start(project), project)
    return ways


def differences(one: Path, other: Path) -> list[str]:
    """Results that are in one of two projects alone, or not equal."""
    here, there = dict(results(one)), dict(results(other))
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))


def results(project: Path) -> Iterator[tuple[str, str]]:
    """Every file that the chain wrote, with its hash; of a record what is not measured in time."""
    for folder in RESULTS:
        for path in sorted((project / folder).rglob("*")):
            name = path.relative_to(project).as_posix()
            if path.is_file() and not name.startswith(MEASURED) and path.name != ".gitignore":
                yield name, _lasting(path) if path.suffix == ".json" else sha256_of(path)


def _lasting(path: Path) -> str:
    return json.dumps(_without_times(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in VOLATILE}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def _start(project: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}
    mend_rwlock(project / RWLOCK)  # as `make repro` does
    with (project / "repro.log").open("ab") as log:
        return subprocess.Popen(
            ["dvc", "repro"], cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def _kill(process: "subprocess.Popen[bytes]", way: str) -> bool:
    """Kill in one of the ``WAYS``; false where the chain was through, or no stage runs to be killed."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        if way == "group":
            os.killpg(process.pid, signal.SIGKILL)
        elif way == "dvc":
            process.kill()
        else:
            stages = psutil.Process(process.pid).children(recursive=True)
            if not stages:
                os.killpg(process.pid, signal.SIGKILL)
            for stage in stages:
                with contextlib.suppress(psutil.NoSuchProcess):
                    stage.kill()
        process.wait(PATIENCE_S)
        return process.returncode != 0
    process.wait(PATIENCE_S)
    return False


def _wait_for_orphans(project: Path) -> None:
    """Wait for stages that a killed dvc left running, as the error of the next run asks to."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if not any(_is_in(process, project) for process in psutil.process_iter()):
            return
        time.sleep(0.5)
    raise PipelineError(f"{project}: a stage has not ended after {PATIENCE_S} s")


def _is_in(process: psutil.Process, project: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.cwd() == str(project) and process.status() != psutil.STATUS_ZOMBIE
    return False


def _finish(process: "subprocess.Popen[bytes]", project: Path) -> None:
    if process.wait() != 0:
        raise PipelineError(f"{project}: the chain failed:\n  {_end_of_log(project)}")


def _end_of_log(project: Path) -> str:
    return "\n  ".join(_log_of(project).splitlines()[-8:])


def _log_of(project: Path) -> str:
    log = project / "repro.log"
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


if __name__ == "__main__":
    main()
