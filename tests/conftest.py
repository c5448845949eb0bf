"""Provides mmcv's operators before any test imports mmdet, and takes the clock from property tests."""

from hypothesis import settings

import pipeline  # noqa: F401

# A machine that others use as well may take any time for an example.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
