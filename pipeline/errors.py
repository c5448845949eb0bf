"""Errors that a user can cause and cure; stages print them without a traceback."""


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


class TrainingError(PipelineError):
    """Training cannot go on: the message names the iteration, the loss terms and the images."""


class GateError(PipelineError):
    """A measured number crossed a limit of ``gates`` in ``params.yaml``."""
