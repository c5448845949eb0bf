"""How much a percentile of few calls is worth: MLPerf's early stopping rule.

MLCommons, "MLPerf Inference Rules", appendix "Early Stopping Criterion": of n calls that are drawn alike, the one that
only t - 1 exceed is no less than the percentile p with the confidence c, where t is the largest number of calls that
lie above it with a probability of 1 - c or less: a binomial of n and 1 - p.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.99
"""MLPerf's."""


def calls_above(calls: int, percentile: float, confidence: float = CONFIDENCE) -> int:
    """The rule's t: the bound is the t-th highest of so many calls; 0 where they are too few for any.

    Args:
        percentile, confidence: 0 to 1, both exclusive.
    """
    if calls < 1:
        return 0
    counts = np.arange(1, calls + 1)
    # In logarithms: the first probability of a long measurement is smaller than a float can be.
    odds = np.log(1 - percentile) - np.log(percentile)
    steps = np.log(calls - counts + 1) - np.log(counts) + odds
    probabilities = calls * np.log(percentile) + np.concatenate([[0.0], np.cumsum(steps)])
    at_most = np.logaddexp.accumulate(probabilities)
    return max(0, int(np.searchsorted(at_most, np.log(1 - confidence), side="right")) - 1)


def upper_bound(
    times: Sequence[float] | NDArray[np.float64], percentile: float, confidence: float = CONFIDENCE
) -> float | None:
    """What the percentile of ``times`` does not exceed, with this confidence; None where there are too few.

    p90 needs 64 calls, p99 needs 662.
    """
    above = calls_above(len(times), percentile, confidence)
    return float(np.sort(times)[-above]) if above else None
