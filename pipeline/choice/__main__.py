"""Switch ``params.yaml`` to what suits a folder of your own, or to recipes."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.runtime.arguments import Parser, positive
from pipeline.choice.choosing_split import prepare_to_choose
from pipeline.choice.description import describe
from pipeline.choice.expected_time import by_stage, expected_trainings
from pipeline.choice.named_recipes import suited_recipes, with_methods, with_teacher
from pipeline.choice.own_data import DataFacts, Suited, facts_of, suited, times_wider
from pipeline.choice.own_model import own_teacher, suited_own
from pipeline.choice.params_file import data_section, read_params, switched, unlabelled_settings
from pipeline.choice.recipes import Wishes, published_for, read_choice
from pipeline.choice.starting_point import fetch_backbones, starting_point
from pipeline.choice.suited_methods import OWN_METHODS
from pipeline.choice.written_recipes import recipes_written
from pipeline.cli import stage_main
from pipeline.compute import choose_device
from pipeline.dataset_settings import EMBEDDED, ChoosingSplit, DataSettings
from pipeline.datasets.folder_format import FORMATS, class_names, detect
from pipeline.layout import CHOICE
from pipeline.recipes import COCO_CLASSES, read_recipe
from pipeline.settings import PARAMS_FILE, parse_params
from pipeline.stage_times import expect
from pipeline.storage import write_atomic
from pipeline.strict_yaml import read_yaml

logger = logging.getLogger(__name__)


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Switch params.yaml to what suits a data set, or to recipes; `git checkout params.yaml` undoes it."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    is_file = arguments.model is not None and (arguments.model.endswith(".py") or "/" in arguments.model)
    model = Path(arguments.model) if is_file else None
    own = model if model is not None and "distillation" not in read_recipe(model) else None
    recipes = [*arguments.recipes, *([model] if model is not None and own is None else [])]
    if recipes and (own is not None or not (is_file or arguments.model is None)):
        parser.error("--model with a size or a detector (--model n) chooses recipes, and recipes are named")
    for line in _use(arguments, recipes, own):
        logger.info("%s", line)


def _parser() -> Parser:
    parser = Parser(prog="python -m pipeline.choice", description=main.__doc__)
    add = parser.add_argument
    add("recipes", nargs="*", type=Path, help="files of configs/students that name teacher and twin (what suits)")
    folder = f"folder with COCO's, YOLO's or VOC's labels, or {' or '.join(EMBEDDED)} (%(default)s)"
    add("--data", type=Path, default=Path("datasets/coco"), help=folder)
    add("--format", choices=FORMATS, help="where a folder could be read as several (found by itself)")
    add("--model", help="size of the student, n, s or m, or the file of a recipe or detector (by the device)")
    add("--teacher", type=Path, help="file of configs/teachers, or of a detector (by the device, or the recipe's)")
    add("--size", type=_size, help="pixels of the input, one number or HEIGHTxWIDTH (by the boxes, or the recipe's)")
    add("--epochs", type=positive, help="of every training (by the number of images, or the recipe's)")
    add("--batch", type=positive, help="images an iteration (8, or the recipe's)")
    add("--choose-on", choices=("val", "train"), help="what chooses where there is no test split (by train's images)")
    add("--unlabelled", type=Path, help="folder of pictures without boxes (as params.yaml has it)")
    add("--methods", nargs="+", help=f"of distillation: {', '.join(OWN_METHODS)} (crosskd, or the recipe's)")
    add("--params", type=Path, default=PARAMS_FILE, help="the file to change (%(default)s)")
    return parser


def _use(arguments: Namespace, recipes: Sequence[Path], own: Path | None) -> list[str]:
    text = read_params(arguments.params)
    found = _found(arguments, text)
    named = suited_recipes(recipes) if recipes else None  # before all of the data is read
    wish, why = _choosing(arguments, found, named)
    chosen = prepare_to_choose(found, wish, CHOICE / "data")
    facts, device = facts_of(chosen.dataset, CHOICE / "data"), choose_device("auto").type
    suits = _suited(arguments, named, own, facts, device)
    with recipes_written(suits.files):
        fetch_backbones(suits.recipes)
        fetched = published_for(suits.teacher, found)["checkpoints"]
        wishes = Wishes(
            teacher=suits.teacher,
            init=None if fetched else starting_point(suits.teacher),
            size=arguments.size or suits.size,
            budget=suits.budget.asked(arguments.epochs, arguments.batch),
            teacher_budget=suits.teacher_budget.asked(arguments.epochs, arguments.batch),
            choose_on=chosen.choose_on,
        )
        choice = read_choice(suits.recipes, found, wishes)
        changed = switched(text, choice, str(arguments.params), times_wider(facts))
        params = parse_params(read_yaml(changed))
        trainings = expected_trainings(params, chosen.dataset, CHOICE / "recipes")
        _write(arguments.params, changed, by_stage(trainings, params))
    return [*suits.said, *describe(choice, facts, trainings, device, suits.model, why or chosen.reason)]


def _found(arguments: Namespace, text: str) -> DataSettings:
    name = str(arguments.data)
    if name in EMBEDDED and not arguments.data.is_dir():
        # How it is made is said in params.yaml.
        found = data_section(text, str(arguments.params)).model_copy(update={"name": name, "choose_on": "val"})
    else:
        found = detect(arguments.data, arguments.format).model_copy(update=unlabelled_settings(text))
    given = {} if arguments.unlabelled is None else {"unlabelled": arguments.unlabelled}
    return found.model_copy(update=given)


def _choosing(arguments: Namespace, found: DataSettings, named: Suited | None) -> tuple[ChoosingSplit | None, str]:
    """What is to choose where it is said, and why where the user did not say it."""
    if arguments.choose_on is None and named is not None and class_names(found) == COCO_CLASSES:
        return "val", "as for published numbers"
    return arguments.choose_on, ""


def _write(path: Path, text: str, expected: Mapping[str, float]) -> None:
    write_atomic(path, text)
    if path == PARAMS_FILE:  # the one that the chain runs by
        expect(expected)


def _suited(arguments: Namespace, named: Suited | None, own: Path | None, facts: DataFacts, device: str) -> Suited:
    methods = tuple(arguments.methods or ())
    if own is not None:
        return suited_own(own, arguments.teacher, methods, facts, device)
    suits = named or suited(facts, device, arguments.model)
    teacher = own_teacher(arguments.teacher or suits.teacher)
    if arguments.teacher is not None:
        suits = with_teacher(suits, teacher, facts)
    return with_methods(suits, methods, teacher, facts) if methods else suits


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return positive(height), positive(width or height)


if __name__ == "__main__":
    main()
