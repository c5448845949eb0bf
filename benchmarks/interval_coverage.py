"""How often an interval of mAP holds the truth: test splits are drawn from populations whose true mAP is known.

The bootstrap is the shipped one; the other intervals are made of its records. The truth that an interval is to hold is
said in two ways: `true` is the mAP of the whole population, `size` the mean mAP of splits of that size, which is higher
where a class has few boxes (mAP is biased itself) and where nearly every box is found (at recall 1, COCO asks for all
of them, which large splits always miss). `mean` is that mean; `outside` counts intervals that leave out their own
estimate.

    python -m benchmarks.interval_coverage
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm

from benchmarks.simulated_matches import Population, draw_split
from pipeline.evaluation.bootstrap import bootstrap_ap, jackknife_error, paired_difference, resampled_ap
from pipeline.evaluation.coco_matching import ClassMatches
from pipeline.records import Bootstrap
from pipeline.settings import EvaluateSettings

POPULATIONS = (
    Population("even", classes=10, skew=0, boxes=4, clumps=0.5, false=2, models=(1.6, 1.3)),
    Population("tail", classes=80, skew=1.3, boxes=7, clumps=0.1, false=20, models=(0.3, 0.15)),
    Population("high", classes=10, skew=0, boxes=4, clumps=0.5, false=0.2, models=(4.5, 4.3)),
)
SPLITS = {50: 300, 100: 300, 400: 200, 2000: 100}
_TRUTH_SPLITS, _TRUTH_IMAGES = 4, 200_000
CONFIDENCE = 0.95
Ends = tuple[float, float]


@dataclass(frozen=True)
class Sample:
    """What an interval is made of: one model's, or the difference of two.

    Attributes:
        measured: in points.
        draws: ``[R]``, the bootstrap's, without those that have no box.
        left_out: ``[G]``, the jackknife's.
        error: the jackknife's standard error.
        shipped: the interval of the record.
    """

    measured: float
    draws: NDArray[np.float64]
    left_out: NDArray[np.float64]
    error: float
    shipped: Ends


def sample_of(record: Bootstrap) -> Sample:
    """The sample of one model."""
    ends = (record.interval.low, record.interval.high)
    return _sample(record.measured, _array(record.ap), _array(record.jackknife), record.images, ends)


def difference_of(one: Bootstrap, other: Bootstrap) -> Sample:
    """The sample of ``one`` minus ``other``, draw by draw."""
    paired = paired_difference(one, other)
    draws, left_out = _array(one.ap) - _array(other.ap), _array(one.jackknife) - _array(other.jackknife)
    return _sample(paired.measured, draws, left_out, one.images, (paired.interval.low, paired.interval.high))


def _sample(
    measured: float, draws: NDArray[np.float64], left_out: NDArray[np.float64], images: int, shipped: Ends
) -> Sample:
    error = jackknife_error(left_out, measured, images)
    return Sample(measured, draws[~np.isnan(draws)], left_out, error, shipped)


def _array(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values])


def percentile(sample: Sample) -> Ends:
    """Efron and Tibshirani 1993, equation 13.5."""
    return _quantiles(sample, (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


def basic(sample: Sample) -> Ends:
    """The percentile interval mirrored at the estimate (Davison and Hinkley 1997, equation 5.6)."""
    low, high = percentile(sample)
    return 2 * sample.measured - high, 2 * sample.measured - low


def bias_corrected(sample: Sample) -> Ends:
    """BC: BCa (Efron and Tibshirani 1993, equation 14.10) without acceleration."""
    return _accelerated(sample, 0)


def accelerated(sample: Sample) -> Ends:
    """BCa, the acceleration from the jackknife (ibid., equation 14.15)."""
    pull = sample.left_out.mean() - sample.left_out
    scale = 6 * (pull**2).sum() ** 1.5
    return _accelerated(sample, float((pull**3).sum() / scale) if scale else 0)


def _accelerated(sample: Sample, acceleration: float) -> Ends:
    count = len(sample.draws)
    below = np.mean(sample.draws < sample.measured) + np.mean(sample.draws == sample.measured) / 2
    bias = stats.norm.ppf(np.clip(below, 0.5 / count, 1 - 0.5 / count))
    moved = bias + stats.norm.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return _quantiles(sample, *stats.norm.cdf(bias + moved / (1 - acceleration * moved)))


def centred(sample: Sample) -> Ends:
    """The percentile interval, moved until the draws' median lies on the estimate."""
    low, high = percentile(sample)
    shift = sample.measured - float(np.median(sample.draws))
    return low + shift, high + shift


def jackknife_t(sample: Sample) -> Ends:
    """Student's t interval with the jackknife's standard error."""
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(sample.left_out) - 1)) * sample.error
    return sample.measured - half, sample.measured + half


def _quantiles(sample: Sample, *levels: float) -> Ends:
    low, high = np.quantile(sample.draws, levels)
    return float(low), float(high)


METHODS: dict[str, Callable[[Sample], Ends]] = {
    "percentile": percentile,
    "basic": basic,
    "BC": bias_corrected,
    "BCa": accelerated,
    "centred": centred,
    "jackknife t": jackknife_t,
    "shipped": lambda sample: sample.shipped,
}


@dataclass(frozen=True)
class Coverage:
    """How one method did: shares are 0 to 1; the estimates' mean and the mean width are in points."""

    mean: float
    true: float
    size: float
    width: float
    outside: float


def coverage(samples: Sequence[Sample], method: Callable[[Sample], Ends], true: float) -> Coverage:
    """How the intervals of ``samples`` lie to ``true``, to the samples' mean and to their own estimates."""
    low, high = np.array([method(sample) for sample in samples]).T
    measured = np.array([sample.measured for sample in samples])
    size = float(measured.mean())
    return Coverage(
        mean=size,
        true=float(np.mean((low <= true) & (true <= high))),
        size=float(np.mean((low <= size) & (size <= high))),
        width=float(np.mean(high - low)),
        outside=float(np.mean((measured < low) | (measured > high))),
    )


def measured_ap(matches: list[ClassMatches]) -> float:
    """mAP of a split as it is, in points."""
    return float(resampled_ap(matches, np.ones((1, len(matches[0].boxes)), dtype=np.int64))[0])


def true_ap(population: Population, random: np.random.Generator) -> NDArray[np.float64]:
    """mAP of each model in the population: the mean over splits so large that their bias no longer counts."""
    splits = (draw_split(population, _TRUTH_IMAGES, random) for _ in range(_TRUTH_SPLITS))
    return np.mean([[measured_ap(matches) for matches in models] for models in splits], axis=0)


def simulate(
    population: Population, images: int, splits: int, resamples: int, random: np.random.Generator
) -> dict[str, list[Sample]]:
    """Draw ``splits`` test splits: samples of the first model's mAP and of the first's minus the second's."""
    samples: dict[str, list[Sample]] = {"AP": [], "difference": []}
    for seed in tqdm(range(splits), desc=f"{population.name}, {images} images", unit="split"):
        settings = EvaluateSettings(resamples=resamples, seed=seed, confidence=CONFIDENCE)
        models = draw_split(population, images, random)
        one, other = (bootstrap_ap(matches, settings, measured_ap(matches)) for matches in models)
        samples["AP"].append(sample_of(one))
        samples["difference"].append(difference_of(one, other))
    return samples


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate and print Markdown tables."""
    names = [population.name for population in POPULATIONS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interval_coverage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--populations", nargs="+", choices=names, default=names, help="(%(default)s)")
    parser.add_argument("--images", nargs="+", type=int, default=list(SPLITS), help="sizes of the splits (%(default)s)")
    parser.add_argument("--splits", type=int, help=f"how many of each size (by size {SPLITS}, otherwise 100)")
    parser.add_argument("--resamples", type=int, default=400, help="of the bootstrap (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    arguments = parser.parse_args(argv)
    for population in (item for item in POPULATIONS if item.name in arguments.populations):
        random = np.random.default_rng(arguments.seed)
        one, other = true_ap(population, random)
        true = {"AP": one, "difference": one - other}
        print(f"\n{population}: true AP {one:.2f} and {other:.2f}\n")
        print("| images | of | mean | method | true | size | width | outside |\n|---|---|---|---|---|---|---|---|")
        for images in arguments.images:
            splits = arguments.splits or SPLITS.get(images, 100)
            for name, samples in simulate(population, images, splits, arguments.resamples, random).items():
                for method, ends in METHODS.items():
                    found = coverage(samples, ends, true[name])
                    shares = f"{100 * found.true:.1f} | {100 * found.size:.1f}"
                    row = f"| {images} | {name} | {found.mean:.2f} | {method} | {shares} | {found.width:.2f}"
                    print(f"{row} | {100 * found.outside:.1f} |", flush=True)


if __name__ == "__main__":
    main()
