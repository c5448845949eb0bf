"""From recipes and a folder to what of ``params.yaml`` changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from pipeline.dataset_settings import EMBEDDED, ChoosingSplit, DataSettings
from pipeline.datasets.folder_format import class_names, split_names
from pipeline.errors import DatasetError, RecipeError
from pipeline.layout import TEACHER
from pipeline.profiles import FOLDER, load_profile
from pipeline.recipes import COCO_CLASSES, read_recipe

COCO_PROFILE = FOLDER / "coco.yaml"
COCO = "coco_dir"
TWIN = "twin"
_COUNTED = 100


@dataclass(frozen=True)
class Budget:
    """Epochs, and images an iteration, of a training; none is as its recipe has it."""

    epochs: int | None = None
    batch_size: int | None = None

    def asked(self, epochs: int | None, batch_size: int | None) -> "Budget":
        """What was asked for, and this for the rest."""
        return Budget(epochs or self.epochs, batch_size or self.batch_size)

    def settings(self) -> dict[str, Any]:
        """As ``train`` of ``params.yaml`` has it."""
        return {"epochs": self.epochs, "iterations": None, "batch_size": self.batch_size, "learning_rate": None}


_RECIPES_OWN = Budget()


@dataclass(frozen=True)
class Wishes:
    """What is set beside the recipes; none is as they have it.

    Attributes:
        teacher: file of the teacher's configuration.
        init: weights that the teacher starts from, where it is trained here.
        size: the canvas's height and width in pixels.
        budget: of students and twins.
        teacher_budget: of the teacher, where it is trained here.
        choose_on: ``data.choose_on``; none is val.
    """

    teacher: Path | None = None
    init: dict[str, Any] | None = None
    size: tuple[int, int] | None = None
    budget: Budget = _RECIPES_OWN
    teacher_budget: Budget = _RECIPES_OWN
    choose_on: ChoosingSplit | None = None


AS_THEY_ARE = Wishes()
_RATIO = 1.0
"""Pictures without boxes for each labelled one, where there are some."""


def read_choice(recipes: Sequence[Path], found: DataSettings, wishes: Wishes = AS_THEY_ARE) -> dict[str, Any]:
    """What of ``params.yaml`` changes, section by section.

    Args:
        recipes: files of students, all of one teacher and twin.
        found: the data set.
        wishes: what is set beside them.

    Raises:
        RecipeError: a recipe cannot be read or names no teacher and twin, or several do not share them.
        DatasetError: the data set has a test split where a part of train is wished to choose.
    """
    configs = {path: read_recipe(path) for path in recipes}
    teacher, twin = pair_of(configs, wishes.teacher)
    first, students = recipes[0], {name: str(path) for name, path in _named(configs).items()}
    choice = _data_changes(found)
    choice["data"]["choose_on"] = _choosing_split(found, wishes.choose_on)
    if found.unlabelled is not None:
        choice["data"]["unlabelled"] = str(found.unlabelled)
    choice["input_size"] = _written(wishes.size)
    choice["train"] = {**choice.get("train", {}), **wishes.budget.settings()}
    choice["teacher"] = {
        "source": "auto",
        "config": teacher,
        "options": {},
        "train": wishes.teacher_budget.settings(),
        "init": None,
        **published_for(Path(teacher), found),
    }
    if not choice["teacher"]["checkpoints"]:
        choice["teacher"]["init"] = wishes.init
    choice["twins"] = {TWIN: {"recipe": twin, "options": {}}}
    # The twin does without, so that what they give is told.
    mixed = {"unlabelled": _RATIO} if found.has_unlabelled else {}
    choice["students"] = {name: {"recipe": path, **mixed, "options": {}} for name, path in students.items()}
    choice["export"] = {"models": [TEACHER, TWIN, *students], **_thresholds(configs[first], first)}
    choice["report"] = {"baseline": TWIN}
    return choice


def pair_of(configs: Mapping[Path, Config], teacher: Path | None = None) -> tuple[str, str]:
    """The teacher and the twin of recipes, by files; ``teacher`` is one that takes the place of theirs.

    Raises:
        RecipeError: a recipe names none of one of the two, or several do not share them.
    """
    pairs = {path: _pair(path, config, teacher) for path, config in configs.items()}
    first = next(iter(pairs))
    for path, pair in pairs.items():
        if pair != pairs[first]:
            raise RecipeError(
                f"{path} is for the teacher {pair[0]} and the twin {pair[1]}, {first} for {pairs[first][0]} and "
                f"{pairs[first][1]}; a run has one of each, so use them one after the other"
            )
    return pairs[first]


def published_for(teacher: Path, found: DataSettings) -> dict[str, Any]:
    """What ``teacher`` of ``params.yaml`` lists of weights that were published for a data set; empty without any.

    A configuration has them as ``checkpoint``, for COCO's classes, or as ``checkpoints`` by an embedded set's name.
    """
    config = read_recipe(teacher)
    listed = (config.get("checkpoints") or {}).get(found.name)
    if listed is not None:
        measured = {name: ap for name, ap in (config.get("published_ap") or {}).items() if name == found.name}
        return {"checkpoints": {found.name: listed.to_dict()}, "published_ap": measured}
    if "checkpoint" in config and class_names(found) == COCO_CLASSES:
        return {"checkpoints": {found.name: config.checkpoint.to_dict()}}
    return {"checkpoints": {}}


def _choosing_split(found: DataSettings, wish: ChoosingSplit | None) -> ChoosingSplit:
    if wish == "train" and {"val", "test"} <= split_names(found):
        name = found.name if found.name in EMBEDDED else found.of_folder().root
        raise DatasetError(f"{name}: has val and test; CHOOSE_ON=train is for a folder without test")
    return wish or "val"


def _written(size: tuple[int, int] | None) -> int | list[int] | None:
    return size if size is None else size[0] if size[0] == size[1] else [*size]


def _pair(path: Path, config: Config, teacher: Path | None) -> tuple[str, str]:
    if teacher is not None:
        config.teacher = str(teacher)
    missing = [key for key in (TEACHER, TWIN) if not isinstance(config.get(key), str)]
    if missing or "distillation" not in config:
        raise RecipeError(
            f"{path}: names no {' and no '.join(missing) or 'method under `distillation`'}; choose a distilled recipe, "
            'or add `teacher = "configs/teachers/..."` and `twin = "configs/students/..."` to yours'
        )
    for key in (TEACHER, TWIN):
        if not Path(config[key]).is_file():
            raise RecipeError(f"{path}: {key} = {config[key]!r}: no such file; paths start at the project's root")
    return config[TEACHER], config[TWIN]


def _named(configs: Mapping[Path, Config]) -> dict[str, Path]:
    """Students by the names of their methods, or of their files where two have the same methods."""
    methods = {
        path: "_".join(m["type"].lower() for m in config.distillation.methods) for path, config in configs.items()
    }
    names = list(methods.values())
    return {path.stem if names.count(name) > 1 else name: path for path, name in methods.items()}


def _data_changes(found: DataSettings) -> dict[str, Any]:
    if found.name in EMBEDDED:
        return {"data": {"name": found.name}}
    changes = found.model_dump(mode="json", exclude_unset=True)
    profile = load_profile(COCO_PROFILE)
    own, section = profile["data"][COCO], changes[found.name]
    if found.name == COCO and (section["train"], section["val"]) == (own["train"], own["val"]):
        own["root"] = section["root"]
        return profile
    return {"data": changes}


def _thresholds(config: Config, path: Path) -> dict[str, Any]:
    """The recipe's own post-processing, which its published AP was measured with."""
    test = config.model.get("test_cfg") or {}
    last = test.get("rcnn", test)
    try:
        return {
            "score_threshold": last["score_thr"],
            "nms_iou_threshold": last["nms"]["iou_threshold"],
            "max_candidates": test.get("nms_pre", 1000),
            # mmdet's YOLOX keeps all that NMS leaves; COCO's AP counts as many of a picture.
            "max_detections": last.get("max_per_img", _COUNTED),
        }
    except (KeyError, TypeError) as error:
        raise RecipeError(
            f"{path}: model.test_cfg has no {error}; what ships takes score_thr and nms.iou_threshold"
        ) from error
