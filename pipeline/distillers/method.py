"""The interface between a distillation method and the distiller that runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from pipeline.detectors import Batch, Features, dense_head
from pipeline.detectors.family import Branches
from pipeline.detectors.flow import LossDict
from pipeline.detectors.recorder import Taps
from pipeline.distillers.method_settings import MethodSettings


@dataclass(frozen=True)
class View:
    """What a method is given of one detector's forward pass.

    Attributes:
        features: FPN outputs, one ``[N, C, H, W]`` a level.
        predictions: raw predictions of the head, one dict a level; they are there only if a method of the recipe
            reads heads.
        taps: outputs of the modules that the method asked for, one list (over levels) a name.
    """

    features: Features
    predictions: list[Branches]
    taps: dict[str, list[Tensor]]


class Method(nn.Module, ABC):
    """A distillation method: it names the modules whose outputs it needs and turns two views into losses.

    Its own parameters (adapters) are trained with the student and dropped afterwards.

    Args:
        student, teacher: stock mmdet detectors; they are referred to, not owned.
        settings: of ``settings_class``.

    Attributes:
        settings_class: what the arguments in a recipe are checked against; its defaults are for any family.
        published: what differs from these defaults in the released configurations, by the name of the family.
        reads_heads: whether the method looks at predictions, at parts of the heads or at the student's assignment;
            where no method does, no adapter of either head is needed and the teacher's is not run.
    """

    settings_class: ClassVar[type[MethodSettings]]
    published: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    reads_heads: bool = True

    # mmdet's detectors are untyped.
    _student: Any
    _teacher: Any

    def __init__(self, student: BaseDetector, teacher: BaseDetector, settings: Any) -> None:
        super().__init__()
        self.settings = settings
        # Around nn.Module, which would register them.
        object.__setattr__(self, "_student", student)
        object.__setattr__(self, "_teacher", teacher)

    @property
    def _student_head(self) -> Any:
        return dense_head(self._student)

    @property
    def _teacher_head(self) -> Any:
        return dense_head(self._teacher)

    @abstractmethod
    def student_taps(self) -> Taps:
        """Modules of the student whose outputs are recorded."""

    @abstractmethod
    def teacher_taps(self) -> Taps:
        """Modules of the teacher whose outputs are recorded."""

    @abstractmethod
    def losses(self, student: View, teacher: View, assignment: Any, batch: Batch) -> LossDict:
        """Weighted losses; every key starts with ``loss_`` and a list is summed.

        Args:
            student, teacher: what the two computed for the batch.
            assignment: the targets that the student's own losses assigned, in the form of its kind of detector
                (:class:`pipeline.detectors.Assignment` for a single-stage one); None where no method reads heads.
            batch: the images and their annotations.
        """
