"""The interface between a distillation method and the distiller that runs it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline.detectors import Batch
from pipeline.detectors.family import Branches
from pipeline.detectors.flow import Features, LossDict


@dataclass(frozen=True)
class View:
    """What one detector computed for the batch.

    Attributes:
        features: FPN outputs, one ``[N, C, H, W]`` a level.
        predictions: raw predictions of the head, one dict a level; the teacher's are there only if a method of
            the recipe reads them.
        taps: outputs of the modules that the method asked for, one list (over levels) a name.
    """

    features: Features
    predictions: list[Branches]
    taps: dict[str, list[Tensor]]


class Method(nn.Module, ABC):
    """A distillation method: it names the modules it wants to see and turns two views into losses.

    Its own parameters (adapters) are trained with the student and dropped afterwards.

    Attributes:
        reads_predictions: whether the method looks at the teacher's predictions or at parts of its head; where no
            method does, the head is not run.
    """

    reads_predictions: bool = True

    @abstractmethod
    def student_taps(self) -> dict[str, nn.Module]:
        """Modules of the student whose outputs are recorded."""

    @abstractmethod
    def teacher_taps(self) -> dict[str, nn.Module]:
        """Modules of the teacher whose outputs are recorded."""

    @abstractmethod
    def losses(self, student: View, teacher: View, assignment: Any, batch: Batch) -> LossDict:
        """Weighted losses; every key starts with ``loss_`` and a list is summed.

        Args:
            student, teacher: what the two computed for the batch.
            assignment: the targets that the student's own losses assigned, in the form of its kind of detector
                (:class:`pipeline.detectors.Assignment` for a dense head).
            batch: the images and their annotations.
        """
