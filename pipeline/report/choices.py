"""Which pictures chose what, and whether they are those that the report's numbers are of."""

from collections.abc import Collection

from pipeline.records import MadeSplits
from pipeline.report import formats
from pipeline.report.collect import Results

_NO_TEST = "There is no test split: val chose, and val is measured."


def measured_sentence(results: Results) -> str:
    """What the measured pictures chose besides; nothing where they chose nothing."""
    if not results.is_measured_on_val:
        return ""
    layers = ["the layers that int8 leaves in fp32"] if "val" in search_splits(results) else []
    ships = ["what ships"] if results.chosen.candidates else []
    *others, last = ["the weights", "the score thresholds", *layers, *ships]
    chosen = f"{', '.join(others)} and {last}"
    why = "There is no test split" if "test" not in results.dataset.splits else "Measured on val, not on test"
    return f"{why}: the pictures that these numbers are of also chose {chosen}, so the numbers flatter."


def weights_note(results: Results) -> str:
    """On which pictures the weights of a training were chosen."""
    return f"chosen on the val split{_flattery(results, ['val'])}"


def precision_note(results: Results) -> str:
    """On which pictures int8 was calibrated and layers were chosen to stay in fp32, as the records have it."""
    calibrated = sorted({model.precision.calibration.split for model in results.models if model.precision})
    searched = search_splits(results)
    if not searched:
        return ""
    return (
        f"int8 is calibrated on images of the {' and '.join(calibrated)} split; layers stay in fp32 only where all of "
        f"them in int8 cost too much AP on images of the {' and '.join(searched)} split, which choose them"
        f"{_flattery(results, searched)}."
    )


def split_note(results: Results) -> str:
    """Where the splits are from, where they are not three of the data set's own."""
    if results.dataset.made_splits is not None:
        return _made_note(results.dataset.made_splits)
    return "" if "test" in results.dataset.splits else _NO_TEST


def _made_note(made: MadeSplits) -> str:
    val, test = formats.percent(made.val), formats.percent(made.test)
    alike = ", images that look alike among them" if made.near_duplicates == "together" else ""
    how = f"taken by seed {made.seed}, {formats.count(made.groups)} groups of images kept whole{alike}"
    if made.own_val_is_test:
        return f"The data set’s own val is the test split and chose nothing: what val is here is {val} of train, {how}."
    if made.test:
        return f"The data set has no val split: val and test are {val} and {test} of its images, {how}."
    missing = f" {_NO_TEST}" if made.test == 0 else ""
    return f"The data set has no val split: val is {val} of train, {how}.{missing}"


def search_splits(results: Results) -> list[str]:
    """The splits that layers were chosen on, by the records: one, unless models were made apart."""
    artefacts = [item for model in results.models if model.precision for item in model.precision.artefacts]
    return sorted({item.search.split for item in artefacts if item.search})


def _flattery(results: Results, splits: Collection[str]) -> str:
    measured = any(results.dataset.splits[name].sha256 == results.split.sha256 for name in splits)
    return " (the very pictures that the numbers here are of)" if measured else ""
