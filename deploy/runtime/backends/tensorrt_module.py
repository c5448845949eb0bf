"""TensorRT's Python module: ``tensorrt``, or ``tensorrt_rtx`` where only that is installed. Their APIs are the same."""

import importlib
from typing import Any

from deploy.runtime.errors import BackendUnavailable
from deploy.runtime.oldest_versions import refuse_older

MODULES = ("tensorrt", "tensorrt_rtx")


def import_tensorrt() -> Any:
    """Import the first of :data:`MODULES` that is installed.

    Raises:
        BackendUnavailable: none is, its libraries cannot be loaded, or it is too old.
    """
    reasons = []
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError) as error:
            reasons.append(str(error))
            continue
        if name == "tensorrt":  # TensorRT-RTX counts its versions otherwise
            refuse_older("tensorrt", name, module.__version__)
        return module
    raise BackendUnavailable(f"tensorrt: TensorRT cannot be imported ({'; '.join(reasons)}); make setup GPU=1")


def version_of(module: Any) -> str:
    """Module and version, which an engine is bound to: ``tensorrt 10.9.0.34``."""
    return f"{module.__name__} {module.__version__}"
