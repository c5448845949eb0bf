"""The interface between a distillation method and the distiller that runs it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.detectors import Assignment
from pipeline.detectors.family import Branches

LossDict = dict[str, Tensor | list[Tensor]]


@dataclass(frozen=True)
class View:
    """What one detector computed for the batch.

    Attributes:
        features: FPN outputs, one ``[N, C, H, W]`` a level.
        predictions: raw predictions of the head, one dict a level; the teacher's are there only if a method of
            the recipe reads them.
        taps: outputs of the modules that the method asked for, one list (over levels) a name.
    """

    features: tuple[Tensor, ...]
    predictions: list[Branches]
    taps: dict[str, list[Tensor]]


class Method(nn.Module, ABC):
    """A distillation method: it names the modules it wants to see and turns two views into losses.

    Its own parameters (adapters) are trained with the student and dropped afterwards.

    Attributes:
        reads_predictions: whether the method looks at the teacher's predictions; where no method does, the
            teacher's head is not run.
    """

    reads_predictions: bool = True

    @abstractmethod
    def student_taps(self) -> dict[str, nn.Module]:
        """Modules of the student whose outputs are recorded."""

    @abstractmethod
    def teacher_taps(self) -> dict[str, nn.Module]:
        """Modules of the teacher whose outputs are recorded."""

    @abstractmethod
    def losses(self, student: View, teacher: View, assignment: Assignment) -> LossDict:
        """Weighted losses; every key starts with ``loss_`` and a list is summed."""
