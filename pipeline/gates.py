"""How a broken gate fails a run: after the record is written, with every number that crossed its limit."""

from collections.abc import Sequence

from pipeline.errors import GateError


def refuse(what: str, broken: Sequence[str]) -> None:
    """Fail for what crossed a limit; nothing is broken, nothing happens.

    Args:
        what: the model or file that was held against the gates, and where it broke them first.
        broken: a sentence for each gate, with the measured number and the limit.

    Raises:
        GateError: lists them all.
    """
    if broken:
        raise GateError(f"{what}:\n" + "\n".join(f"  {line}" for line in broken))
