"""Errors that a user can cause and cure; stages print them without a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class PipelineError(Exception):
    """An expected failure: the message names the file, the key, the value and the cure."""


class SettingsError(PipelineError):
    """``params.yaml`` holds a value that the pipeline cannot use."""


class DatasetError(PipelineError):
    """A data set is missing, unreadable or inconsistent; the message lists every finding."""


class CheckpointError(PipelineError):
    """Weights cannot be fetched, verified or loaded into the detector they are meant for."""


class RecipeError(PipelineError):
    """A recipe or teacher configuration cannot be built as written."""


class ExportError(RecipeError):
    """No artefact can be made of a detector as its recipe has it; it trains and is evaluated all the same."""


class TrainingError(PipelineError):
    """Training cannot go on: the message names the iteration, the loss terms and the images."""


class GateError(PipelineError):
    """A measured number crossed a limit of ``gates`` in ``params.yaml``."""


class PublishError(PipelineError):
    """A model cannot be uploaded: its files are not what their records say, or the Hub refuses."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about a name that is none of the ``known`` ones: the nearest of them, or all."""
    names = sorted(known)
    nearest = get_close_matches(str(name), names, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(names)}"
