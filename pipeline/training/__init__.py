"""Training through the mmengine Runner: mixed precision, resume, log, val-chosen weights."""

from pipeline.training.job import TrainingJob, train, train_in_place

__all__ = ["TrainingJob", "train", "train_in_place"]
