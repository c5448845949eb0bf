"""Provides mmcv's operators before any test imports mmdet."""

import pipeline  # noqa: F401
