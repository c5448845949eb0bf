"""Provides mmcv's operators before any test imports mmdet, and takes the clock from property tests."""

import gc
from collections.abc import Generator

import pytest
from hypothesis import settings

# Imports and collection make millions of objects that live as long as the process: the collector need not look at them
# again and again. mmengine's data sets call it once each, and that alone was a third of a small training.
gc.disable()

import pipeline  # noqa: E402, F401

# A machine that others use as well may take any time for an example.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave out of garbage collection what is there before the first test."""
    result = yield
    gc.freeze()
    # Exports and trainings make objects by the million, few of them in circles.
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
    return result
