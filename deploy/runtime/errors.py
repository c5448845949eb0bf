"""Errors of the run-time half that a user can cause and cure."""

_LONGEST_VALUE = 80


def shown(value: object) -> str:
    """A value as a message shows it: on one line, and cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists without end
        text = f"{type(value).__name__} that is too large to show"
    return shortened(text, _LONGEST_VALUE)


def shortened(text: str, longest: int) -> str:
    """The beginning of a text that may be as long as a file."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


class ArtefactError(Exception):
    """An artefact is missing, damaged or foreign; the message names the file and the cure."""


class NoPortableForm(ArtefactError):
    """An artefact is sound, and no TensorRT engine can be built from it; other backends run it."""


class BatchOutsideProfiles(ArtefactError):
    """An engine was not built for a batch of this size."""


class ImageError(Exception):
    """An image cannot be read; the message names the file and the reason."""


class VideoError(Exception):
    """A video cannot be read; the message names the file and the reason."""


class BackendClosed(Exception):
    """A backend was closed before this run began; the message names the backend and the cure."""


class BackendUnavailable(Exception):
    """A backend cannot run on this machine; the message is the reason shown as ``not run: why``."""


class EngineUnusable(BackendUnavailable):
    """There is an engine for this machine, and TensorRT or CUDA fails to open it here."""
