"""Prove on a GPU what can only be seen on one, and write it down.

    make gpu-proof                                 # or: python -m benchmarks.gpu_proof
    python -m benchmarks.gpu_proof --parts gradients artefacts
    python -m benchmarks.gpu_proof --rehearse      # every part on the CPU at toy sizes, to see that it gets to its end

Writes reports/gpu-proof/<gpu>.json and .md after every check; of parts that are not named, what an earlier run on the
same machine and commit found stays. The exit code is 1 where a check failed, else 0: a part that cannot run here says
why.
"""

import argparse
import datetime
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu_proof.machine import ask_machine
from benchmarks.gpu_proof.parts import PARTS, TOTAL_LIMIT, Part
from benchmarks.gpu_proof.record import PartResult, Proof, replace_text
from benchmarks.gpu_proof.report import to_markdown
from benchmarks.gpu_proof.supervisor import command_of, run_part

OUT = Path("reports/gpu-proof")
_ORDER = {part.name: place for place, part in enumerate(PARTS)}
_PATIENCE = 10
"""How much longer everything may take in a rehearsal: a CPU is slower."""


def prove(parts: list[Part], out: Path, rehearse: bool, seconds: float, commit: str) -> Proof:
    """Run the parts one after the other; what is known so far is written after every check."""
    start = time.monotonic()
    machine = ask_machine(rehearse)
    proof = Proof(machine, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), commit)
    proof.parts = _kept(proof, out, {part.name for part in parts})
    patience = _PATIENCE if rehearse else 1
    for part in parts:
        left = patience * seconds - (time.monotonic() - start)
        if reason := _cannot_run(proof, left):
            proof.parts.append(PartResult(part.name, part.title, reason))
            _write(proof, out)
            _say(f"{part.name}: not run: {reason}")
            continue
        slot = len(proof.parts)
        proof.parts.append(PartResult(part.name, part.title))

        def progress(result: PartResult, running: str, slot: int = slot) -> None:
            proof.parts[slot] = result
            _write(proof, out)
            if running:
                _say(f"[{time.monotonic() - start:4.0f} s] {result.name}: {running}")

        given = Part(part.name, part.title, patience * part.limit, patience * part.check_limit)
        proof.parts[slot] = run_part(given, command_of(part, rehearse), min(given.limit, left), progress)
        _write(proof, out)
        _say(f"{part.name}: {proof.parts[slot].outcome}")
    proof.parts.sort(key=lambda result: _ORDER.get(result.name, len(_ORDER)))
    _write(proof, out)
    return proof


def _kept(proof: Proof, out: Path, named: set[str]) -> list[PartResult]:
    """What an earlier run of the same machine and commit found in the parts that this one does not run."""
    try:
        earlier = Proof.read(out / f"{proof.machine.file_stem}.json")
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that another version wrote
        return []
    if (earlier.machine.facts, earlier.commit) != (proof.machine.facts, proof.commit):
        return []
    return [part for part in earlier.parts if part.name not in named]


def _cannot_run(proof: Proof, left: float) -> str:
    if not proof.machine.gpu and not proof.machine.rehearsal:
        return proof.machine.reason
    return "" if left > 0 else "no time was left"


def _write(proof: Proof, out: Path) -> None:
    proof.seconds = sum(part.seconds for part in proof.parts)
    path = out / f"{proof.machine.file_stem}.json"
    proof.write(path)
    replace_text(path.with_suffix(".md"), to_markdown(proof))


def _commit() -> str:
    """The commit that is checked out; nothing where there is no git."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Run the proof."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_proof", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--parts", nargs="+", choices=names, default=names, metavar="PART", help=f"of {' '.join(names)}"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results (%(default)s)")
    parser.add_argument("--rehearse", action="store_true", help="the CPU in the place of the GPU, at toy sizes")
    parser.add_argument("--commit", default=_commit(), help="what is checked out, where git cannot tell (%(default)s)")
    parser.add_argument("--seconds", type=float, default=TOTAL_LIMIT, help="limit for all parts (%(default)g)")
    given = parser.parse_args()
    parts = [part for part in PARTS if part.name in given.parts]
    proof = prove(parts, given.out, given.rehearse, given.seconds, given.commit)
    failed = len(proof.failed)
    print(f"{given.out / proof.machine.file_stem}.md: {f'{failed} failed' if failed else 'nothing failed'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
