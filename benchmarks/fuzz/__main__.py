"""Damage inputs of every kind that the project reads, and count what its readers make of them.

    python -m benchmarks.fuzz                          # 11,000 cases of all kinds, with seed 0
    python -m benchmarks.fuzz --only images --cases 5000 --seed 7
    python -m benchmarks.fuzz --replay build/fuzz/images--colour.png--0--17.png

Right is a case that is accepted, or refused with an error of the project's own that names the file. Everything else is
a failure: an exception that is somebody else's, a crash, a hang, or content that differs from the undamaged file's
where a hash could have told. Inputs that failed are kept, each with what was said; the exit status is then 1.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fuzz.inputs import KINDS
from deploy.runtime.arguments import natural, positive

OUT = Path("build/fuzz")
_CASES = 11_000


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=natural, default=0, help="every case follows from it (%(default)s)")
    parser.add_argument("--cases", type=positive, default=_CASES, help="how many, of all kinds together (%(default)s)")
    parser.add_argument("--only", choices=KINDS, action="append", help="a kind of input; may be given again")
    parser.add_argument("--jobs", type=positive, default=1, help="cases at a time (%(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the inputs that failed (%(default)s)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="read an input that failed again, and nothing else")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """See ``python -m benchmarks.fuzz --help``."""
    options = _parse(argv)
    from benchmarks.fuzz.campaign import replay, run  # brings the kinds, and with them torch
    from benchmarks.fuzz.failures import table

    if options.replay:
        result = replay(options.replay)
        print(f"{result.outcome}\n{result.detail}")
        sys.exit(int(result.outcome.is_failure))
    results = run(options.only or KINDS, options.seed, options.cases, options.jobs, options.out)
    print(table(results))
    failed = sum(result.outcome.is_failure for result in results)
    if failed:
        sys.exit(f"error: {failed} of {len(results)} cases failed; their inputs are in {options.out}")


if __name__ == "__main__":
    main()
