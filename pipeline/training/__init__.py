"""Training through the mmengine Runner: mixed precision, resume, log, val-chosen weights."""

from pipeline.training.job import TrainingJob, train

__all__ = ["TrainingJob", "train"]
