"""The oldest run times that an artefact was tried under; older ones are refused rather than trusted.

ONNX Runtime 1.18 gave other boxes for int8 files without a word, 1.16 fails in the middle of one, OpenVINO 2024.0 opens
none (``python -m benchmarks.runtime_versions``, docs/export.md).
"""

import re
from collections.abc import Mapping

from deploy.runtime.errors import BackendUnavailable

OLDEST: Mapping[str, str] = {"onnxruntime": "1.20", "openvino": "2025.0", "tensorrt": "10.0"}
"""Versions by package. Artefacts carry them in their metadata, for readers that are not this project's."""


def refuse_older(backend: str, package: str, version: str) -> None:
    """Raise :class:`BackendUnavailable` for a version of a package before that of :data:`OLDEST`.

    A version that says no numbers is taken: it was built by hand.
    """
    found, oldest = _numbers(version), _numbers(OLDEST[package])
    if found and found < oldest:
        raise BackendUnavailable(
            f"{backend}: {package} {version} is older than {OLDEST[package]}, the oldest that was tried with these "
            f"artefacts; pip install --upgrade '{package}>={OLDEST[package]}'"
        )


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, leading[0].split("."))) if leading else ()
