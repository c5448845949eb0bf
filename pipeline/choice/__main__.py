"""Switch ``params.yaml`` to recipes, or to what suits a folder of your own."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deploy.runtime.arguments import Parser, positive
from pipeline.choice.choosing_split import prepare_to_choose
from pipeline.choice.description import describe, describe_own
from pipeline.choice.expected_time import by_stage, expected_times
from pipeline.choice.own_data import METHODS, DataFacts, Suited, facts_of, suited, times_wider
from pipeline.choice.own_model import own_teacher, suited_own
from pipeline.choice.params_file import read_params, switched
from pipeline.choice.recipes import Budget, Wishes, read_choice
from pipeline.choice.starting_point import fetch_backbones, starting_point
from pipeline.choice.suited_methods import OWN_METHODS
from pipeline.choice.written_recipes import recipes_written
from pipeline.cli import stage_main
from pipeline.compute import choose_device
from pipeline.datasets.folder_format import FORMATS, detect
from pipeline.layout import CHOICE
from pipeline.recipes import read_recipe
from pipeline.settings import PARAMS_FILE, parse_params
from pipeline.stage_times import expect
from pipeline.storage import write_atomic
from pipeline.strict_yaml import read_yaml

logger = logging.getLogger(__name__)


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Switch params.yaml to recipes, or to what suits a folder; `git checkout params.yaml` undoes it."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    is_file = arguments.model is not None and (arguments.model.endswith(".py") or "/" in arguments.model)
    model = Path(arguments.model) if is_file else None
    own = model if model is not None and "distillation" not in read_recipe(model) else None
    recipes = [*arguments.recipes, *([model] if model is not None and own is None else [])]
    if recipes and (own is not None or arguments.methods or not (is_file or arguments.model is None)):
        parser.error("--methods and a size or detector (--model n) choose recipes, and recipes are named")
    lines = _use_recipes(arguments, recipes) if recipes else _use_what_suits(arguments, own)
    for line in lines:
        logger.info("%s", line)


def _parser() -> Parser:
    parser = Parser(prog="python -m pipeline.choice", description=main.__doc__)
    add = parser.add_argument
    add("recipes", nargs="*", type=Path, help="files of configs/students that name teacher and twin (what suits)")
    folder = "folder with COCO's, YOLO's or VOC's labels (%(default)s)"
    add("--data", type=Path, default=Path("datasets/coco"), help=folder)
    add("--format", choices=FORMATS, help="where a folder could be read as several (found by itself)")
    add("--model", help="size of the student, n, s or m, or the file of a recipe or detector (by the device)")
    add("--teacher", type=Path, help="file of configs/teachers, or of a detector (by the device, or the recipe's)")
    add("--size", type=_size, help="pixels of the input, one number or HEIGHTxWIDTH (by the boxes)")
    add("--epochs", type=positive, help="of every training (by the number of images)")
    add("--batch", type=positive, help="images an iteration (8)")
    add("--choose-on", choices=("val", "train"), help="what chooses where there is no test split (by train's images)")
    add("--methods", nargs="+", help=f"of distillation: {', '.join(METHODS)}, for a detector {', '.join(OWN_METHODS)}")
    add("--params", type=Path, default=PARAMS_FILE, help="the file to change (%(default)s)")
    return parser


def _use_recipes(arguments: Namespace, recipes: Sequence[Path]) -> list[str]:
    teacher = own_teacher(arguments.teacher) if arguments.teacher else None
    budget = Budget(arguments.epochs, arguments.batch)
    wishes = Wishes(teacher.path if teacher else None, None, arguments.size, budget, budget, arguments.choose_on)
    with recipes_written(teacher.files if teacher else {}):
        choice = read_choice(recipes, arguments.data, arguments.format, wishes)
        _write(arguments.params, switched(read_params(arguments.params), choice, str(arguments.params)), {})
    return [*(teacher.said() if teacher else []), *describe(choice)]


def _use_what_suits(arguments: Namespace, own: Path | None) -> list[str]:
    text, found = read_params(arguments.params), detect(arguments.data, arguments.format)
    chosen = prepare_to_choose(found, arguments.choose_on, CHOICE / "data")
    facts, device = facts_of(chosen.dataset, CHOICE / "data"), choose_device("auto").type
    suits = _suited(arguments, own, facts, device)
    with recipes_written(suits.files):
        fetch_backbones(suits.recipes)
        wishes = Wishes(
            teacher=suits.teacher,
            init=starting_point(suits.teacher),
            size=arguments.size or suits.size,
            budget=suits.budget.asked(arguments.epochs, arguments.batch),
            teacher_budget=suits.teacher_budget.asked(arguments.epochs, arguments.batch),
            choose_on=chosen.choose_on,
        )
        choice = read_choice(suits.recipes, arguments.data, arguments.format, wishes)
        changed = switched(text, choice, str(arguments.params), times_wider(facts))
        params = parse_params(read_yaml(changed))
        times = expected_times(params, chosen.dataset, CHOICE / "recipes")
        _write(arguments.params, changed, by_stage(times, params))
    return [*suits.said, *describe_own(choice, facts, times, device, suits.model, chosen.reason)]


def _write(path: Path, text: str, expected: Mapping[str, float]) -> None:
    write_atomic(path, text)
    if path == PARAMS_FILE:  # the one that the chain runs by
        expect(expected)


def _suited(arguments: Namespace, own: Path | None, facts: DataFacts, device: str) -> Suited:
    methods = tuple(arguments.methods or ())
    if own is not None:
        return suited_own(own, arguments.teacher, methods, facts, device)
    suits = suited(facts, device, arguments.model, methods or METHODS[:1])
    if arguments.teacher is None:
        return suits
    teacher = own_teacher(arguments.teacher)
    # One of this project's recipes is trained as long as the students are.
    budget = teacher.budget(suits.teacher_budget) if teacher.source else suits.teacher_budget
    return replace(
        suits,
        teacher=teacher.path,
        teacher_budget=budget,
        files=teacher.files,
        said=teacher.said(facts.images["train"]),
    )


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return positive(height), positive(width or height)


if __name__ == "__main__":
    main()
