"""Detectors of the user's own: from plain configurations to a twin, distilled students and a teacher."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config

from pipeline.choice.own_data import DataFacts, Suited, suited
from pipeline.choice.plain_detector import DATA, SCHEDULE, Adopted, adopted, is_plain
from pipeline.choice.recipes import Budget
from pipeline.choice.suited_methods import check_supported, method_configs, method_names
from pipeline.choice.written_recipes import recipe_text
from pipeline.detectors import family_name
from pipeline.errors import RecipeError
from pipeline.recipes import build_plain, read_recipe, set_num_classes
from pipeline.recipes.clock import counts_epochs, iterations_of

STUDENTS, TEACHERS = Path("configs/students/own"), Path("configs/teachers/own")
_OURS = Path("configs/teachers")
_LISTED = 200


@dataclass(frozen=True)
class OwnDetector:
    """A recipe without method: one that is there, or one that is written from a plain configuration.

    Attributes:
        path: of the recipe.
        name: of the files beside it.
        config: what it says, with all that it inherits.
        files: to be written, by path.
        source: the plain configuration, and what was taken over of it.
    """

    path: Path
    name: str
    config: Config
    files: dict[Path, str] = field(default_factory=dict)
    source: tuple[Path, Adopted] | None = None

    def built(self, classes: int) -> BaseDetector:
        """The detector, with random weights.

        Raises:
            RecipeError: it cannot be built, or its family is not supported.
        """
        config = Config(self.config.to_dict())
        set_num_classes(config.model, classes)
        detector = build_plain(config, self.origin)
        check_supported(detector, self.origin)
        return detector

    @property
    def origin(self) -> Path:
        """The file that the user has named."""
        return self.source[0] if self.source else self.path

    def budget(self, usual: Budget) -> Budget:
        """Its own length and batches, or the usual length where it has that of this project's base."""
        if counts_epochs(self.config):  # the same number again, with which a warm-up is held against the data set
            return Budget(int(self.config.train_cfg.max_epochs))
        return Budget(usual.epochs if self.config.train_cfg == read_recipe(SCHEDULE).train_cfg else None)

    def said(self, images: int | None = None) -> list[str]:
        """What of the user's file is taken, what is otherwise here and why, a line each; nothing of a recipe.

        Args:
            images: those of the train split, where they are known.
        """
        return [*self._said(images)]

    def _said(self, images: int | None) -> Iterator[str]:
        if self.source is None:
            return
        _, found = self.source
        yield f"{self.path} is written from {self.origin}, which is not read again: edit the recipe"
        yield f"  taken: {', '.join(found.content)}"
        yield from (f"  otherwise: {one}" for one in found.replaced)
        if found.passed_over:
            yield f"  not read, deciding no weight: {', '.join(found.passed_over)}"
        scaling, batch = found.content.get("auto_scale_lr") or {}, self.config.train_dataloader.batch_size
        if not scaling.get("enable") and scaling.get("base_batch_size", batch) != batch:
            yield (
                f"  learning rate: {self.config.optim_wrapper.optimizer.lr:g} is taken for the {batch} images of a "
                f"step, as auto_scale_lr is off; where it is for {scaling['base_batch_size']}, set "
                f"auto_scale_lr.enable in {self.path}"
            )
        if (
            images
            and counts_epochs(self.config)
            and (longest := _warmup(self.config)) > (fifth := iterations_of(self.config, images) // 5)
        ):
            yield f"  warm-up: {longest} iterations become {fifth}, a fifth of the training on {images} images"


def own_detector(path: Path, prefix: str, folder: Path) -> OwnDetector:
    """A recipe as it is, or the one of a plain configuration.

    Args:
        path: of either.
        prefix: of the file that is written.
        folder: where it is.

    Raises:
        RecipeError: the file cannot be read or taken over.
    """
    config = read_recipe(path)
    name = _named(path).removeprefix(prefix)
    if not is_plain(config):
        return OwnDetector(path, name, config)
    found = adopted(config, path)
    target = folder / f"{prefix}{name}.py"
    bases = [read_recipe(base).to_dict() for base in found.bases]
    whole = Config({key: value for base in bases for key, value in base.items()} | found.content)
    text = recipe_text(str(path), [_relative(base, folder) for base in found.bases], found.content)
    return OwnDetector(target, name, whole, {target: text}, (path, found))


def own_teacher(path: Path) -> OwnDetector:
    """The teacher of ``TEACHER=``; raises as :func:`own_detector`."""
    return own_detector(path, "", TEACHERS)


def own_twin(path: Path) -> OwnDetector:
    """The student of ``MODEL=``, trained alone; raises as :func:`own_detector`."""
    return own_detector(path, "twin_", STUDENTS)


def suited_own(model: Path, teacher: Path | None, methods: tuple[str, ...], facts: DataFacts, device: str) -> Suited:
    """What suits a data set and a detector of the user's own, which says its size and schedule itself.

    Args:
        model: a plain configuration, or a recipe without method.
        teacher: of either kind; None: the usual one of own data.
        methods: that were asked for; none: the one that suits.
        facts: of the data set.
        device: ``cpu`` or ``cuda``.

    Raises:
        RecipeError: a file cannot be taken over, a family is not supported, or the pair does not fit.
        SettingsError: there is no such method.
    """
    usual, classes, twin = suited(facts, device), len(facts.classes), own_twin(model)
    mentor = own_teacher(teacher or usual_teacher(twin, usual.teacher, classes))
    students = students_of(twin, mentor, methods, classes)
    has_size = twin.config.val_dataloader != read_recipe(DATA).val_dataloader
    height, width = twin.config.input_size
    return Suited(
        model=twin.name,
        recipes=[*students],
        teacher=mentor.path,
        size=(height, width) if has_size else usual.size,
        budget=twin.budget(usual.budget),
        teacher_budget=mentor.budget(usual.teacher_budget),
        files={**mentor.files, **twin.files, **students},
        said=[line for one in (twin, mentor) for line in one.said(facts.images["train"])],
    )


def students_of(twin: OwnDetector, teacher: OwnDetector, methods: tuple[str, ...], classes: int) -> dict[Path, str]:
    """The recipes that distil a detector, by path.

    Args:
        twin, teacher: the pair.
        methods: that were asked for; none: the one that suits.
        classes: of the data set.

    Raises:
        RecipeError: one of the two is not supported, or they do not fit; says which.
        SettingsError: there is no such method.
    """
    student, model = twin.built(classes), teacher.built(classes)
    files = {}
    for name in method_names(methods, student):
        try:
            configs = method_configs(name, student, model)
        except RecipeError as error:
            raise RecipeError(f"METHODS={name} for {twin.path} with TEACHER={teacher.path}: {error}") from error
        content = {"twin": str(twin.path), "teacher": str(teacher.path), "distillation": {"methods": configs}}
        files[STUDENTS / f"{name}_{twin.name}.py"] = recipe_text(
            str(twin.origin), [_relative(twin.path, STUDENTS)], content
        )
    return files


def usual_teacher(twin: OwnDetector, usual: Path, classes: int) -> Path:
    """The teacher of own data, where it is of the student's family.

    Args:
        twin: the student.
        usual: a recipe of this project's for teachers of own data.
        classes: of the data set.

    Raises:
        RecipeError: it is of another family; names the teachers that are not.
    """
    student = twin.built(classes)
    if family_name(student) == family_name(own_teacher(usual).built(classes)):
        return usual
    # Named after their detectors (docs/recipes.md).
    kind = type(student).__name__.lower()
    fitting = [str(path) for path in sorted(_OURS.glob("*.py")) if path.stem.replace("_", "").startswith(kind)]
    raise RecipeError(
        f"{twin.origin}: a {type(student).__name__} ({family_name(student)}) has no teacher of own data; name one of "
        f"its family by TEACHER=: {', '.join(fitting)}, or a configuration of your own with such a head. It is "
        "trained on your data"
    )


def _warmup(config: Config) -> int:
    listed = config.param_scheduler if isinstance(config.param_scheduler, list) else [config.param_scheduler]
    ramps = [one for one in listed if one["type"] in ("LinearLR", "ConstantLR") and not one.get("by_epoch", True)]
    return max((one.get("end", 0) for one in ramps if not one.get("begin")), default=0)


def _named(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")[:_LISTED] or "own"


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
