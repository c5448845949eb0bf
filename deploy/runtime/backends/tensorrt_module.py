"""TensorRT's Python module: ``tensorrt``, or ``tensorrt_rtx`` where only that is installed. Their APIs are the same."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deploy.runtime.errors import BackendUnavailable
from deploy.runtime.oldest_versions import refuse_older

if TYPE_CHECKING:
    import tensorrt_rtx

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


_LOGS: dict[str, Any] = {}
_SHOWN_MESSAGES = 4


def log_of(module: Any) -> Any:
    """The one logger of this process, with the errors that TensorRT told it as ``messages``.

    TensorRT keeps the first logger that it is given and tells no other one anything. Whoever reads the messages clears
    them before the call that they are to be of.
    """
    if module.__name__ not in _LOGS:

        class Log(module.ILogger):
            def __init__(self) -> None:
                module.ILogger.__init__(self)
                self.messages: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (module.ILogger.ERROR, module.ILogger.INTERNAL_ERROR):
                    self.messages.append(message)

        _LOGS[module.__name__] = Log()
    return _LOGS[module.__name__]


def said(messages: Sequence[str]) -> str:
    """The first errors of TensorRT, a line each and indented, for the end of a message; a line that says so if none."""
    lines = [message.strip().partition("\n")[0] for message in messages[:_SHOWN_MESSAGES]]
    return "\n".join(f"  {line}" for line in lines or ["it does not say why"])


def read_plan(module: Any, plan: bytes) -> "tensorrt_rtx.ICudaEngine | None":
    """The engine of a serialised plan on this GPU; none where TensorRT refuses it, and the log's messages say why."""
    log = log_of(module)
    log.messages.clear()
    runtime: tensorrt_rtx.Runtime = module.Runtime(log)
    return runtime.deserialize_cuda_engine(plan)
