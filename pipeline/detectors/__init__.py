"""One adapter a detector family: where its towers and prediction layers are. Methods are written against these."""

from pipeline.detectors.adapters import family_of
from pipeline.detectors.family import Assignment, Family
from pipeline.detectors.flow import Batch, Flow, Seen, flow_of

__all__ = ["Assignment", "Batch", "Family", "Flow", "Seen", "family_of", "flow_of"]
