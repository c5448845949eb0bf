"""Switch ``params.yaml`` to recipes, or to what suits a folder of your own."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.runtime.arguments import Parser, positive
from pipeline.choice.choosing_split import prepare_to_choose
from pipeline.choice.description import describe, describe_own
from pipeline.choice.expected_time import by_stage, expected_times
from pipeline.choice.own_data import METHODS, facts_of, suited, times_wider
from pipeline.choice.params_file import read_params, switched
from pipeline.choice.recipes import Wishes, read_choice
from pipeline.choice.starting_point import fetch_backbones, starting_point
from pipeline.cli import stage_main
from pipeline.compute import choose_device
from pipeline.datasets.folder_format import FORMATS, detect
from pipeline.layout import CHOICE
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
    recipes = [*arguments.recipes, *([Path(arguments.model)] if is_file else [])]
    if recipes and (arguments.methods or not (is_file or arguments.model is None)):
        parser.error("--methods and a size (--model n) choose recipes, and recipes are named")
    lines = _use_recipes(arguments, recipes) if recipes else _use_what_suits(arguments)
    for line in lines:
        logger.info("%s", line)


def _parser() -> Parser:
    parser = Parser(prog="python -m pipeline.choice", description=main.__doc__)
    add = parser.add_argument
    add("recipes", nargs="*", type=Path, help="files of configs/students that name teacher and twin (what suits)")
    folder = "folder with COCO's, YOLO's or VOC's labels (%(default)s)"
    add("--data", type=Path, default=Path("datasets/coco"), help=folder)
    add("--format", choices=FORMATS, help="where a folder could be read as several (found by itself)")
    add("--model", help="size of the student, n, s or m, or a recipe's file (by the device)")
    add("--teacher", type=Path, help="file of configs/teachers (by the device, or the recipe's)")
    add("--size", type=_size, help="pixels of the input, one number or HEIGHTxWIDTH (by the boxes)")
    add("--epochs", type=positive, help="of every training (by the number of images)")
    add("--batch", type=positive, help="images an iteration (8)")
    add("--choose-on", choices=("val", "train"), help="what chooses where there is no test split (by train's images)")
    add("--methods", nargs="+", help=f"of distillation, for a size: {', '.join(METHODS)} ({METHODS[0]})")
    add("--params", type=Path, default=PARAMS_FILE, help="the file to change (%(default)s)")
    return parser


def _use_recipes(arguments: Namespace, recipes: Sequence[Path]) -> list[str]:
    wishes = Wishes(arguments.teacher, None, arguments.size, arguments.epochs, arguments.batch, arguments.choose_on)
    choice = read_choice(recipes, arguments.data, arguments.format, wishes)
    _write(arguments.params, switched(read_params(arguments.params), choice, str(arguments.params)), {})
    return describe(choice)


def _use_what_suits(arguments: Namespace) -> list[str]:
    text, found = read_params(arguments.params), detect(arguments.data, arguments.format)
    chosen = prepare_to_choose(found, arguments.choose_on, CHOICE / "data")
    facts, device = facts_of(chosen.dataset, CHOICE / "data"), choose_device("auto").type
    suits = suited(facts, device, arguments.model, tuple(arguments.methods or METHODS[:1]))
    teacher = arguments.teacher or suits.teacher
    fetch_backbones(suits.recipes)
    wishes = Wishes(
        teacher=teacher,
        init=starting_point(teacher),
        size=arguments.size or (suits.size, suits.size),
        epochs=arguments.epochs or suits.epochs,
        batch_size=arguments.batch or suits.batch_size,
        choose_on=chosen.choose_on,
    )
    choice = read_choice(suits.recipes, arguments.data, arguments.format, wishes)
    changed = switched(text, choice, str(arguments.params), times_wider(facts))
    params = parse_params(read_yaml(changed))
    times = expected_times(params, chosen.dataset, CHOICE / "recipes")
    _write(arguments.params, changed, by_stage(times, params))
    return describe_own(choice, facts, times, device, suits.model, chosen.reason)


def _write(path: Path, text: str, expected: Mapping[str, float]) -> None:
    write_atomic(path, text)
    if path == PARAMS_FILE:  # the one that the chain runs by
        expect(expected)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return positive(height), positive(width or height)


if __name__ == "__main__":
    main()
