"""Recipes that a user names, or a size does: their students by the methods that are asked for, and another teacher."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from pipeline.choice.own_data import DataFacts, Suited
from pipeline.choice.own_model import OwnDetector, own_twin, students_of
from pipeline.choice.recipes import Budget, pair_of
from pipeline.choice.suited_methods import OWN_METHODS, check_methods
from pipeline.recipes import read_recipe


def suited_recipes(recipes: Sequence[Path]) -> Suited:
    """What recipes that are named say themselves: teacher, canvas, length and batch are theirs.

    Raises:
        RecipeError: one cannot be read or names no teacher and twin, or several do not share them.
    """
    teacher, twin = pair_of({path: read_recipe(path) for path in recipes})
    name = Path(twin).stem.removeprefix("twin_")
    return Suited(name, [*recipes], Path(teacher), None, Budget(), Budget())


def with_teacher(suits: Suited, teacher: OwnDetector, facts: DataFacts) -> Suited:
    """The same with the teacher of ``TEACHER=``, for as long as its own file says where it is a configuration."""
    return replace(
        suits,
        teacher=teacher.path,
        # One of this project's recipes is trained as long as the students are.
        teacher_budget=teacher.budget(suits.teacher_budget) if teacher.source else suits.teacher_budget,
        files={**suits.files, **teacher.files},
        said=[*suits.said, *teacher.said(facts.images["train"])],
    )


def with_methods(suits: Suited, methods: Sequence[str], teacher: OwnDetector, facts: DataFacts) -> Suited:
    """The same with the students of ``METHODS=``.

    A method has the recipe that is named, or the one beside it that is called after the method and has the same twin,
    whose settings were chosen for it; where there is none, one is written of what was published for the family.

    Args:
        suits: whose recipes say the twin.
        methods: names of ``OWN_METHODS``.
        teacher: that of ``suits``.
        facts: of the data set.

    Raises:
        SettingsError: there is no such method.
        RecipeError: a method does not fit the pair.
    """
    check_methods(methods)
    known = {path: read_recipe(path) for path in suits.recipes}
    _, twin = pair_of(known)
    first = suits.recipes[0]
    beside = {name: found for name in methods if (found := _beside(first, known[first], name, twin))}
    named = {_method(config): path for path, config in reversed(known.items())}
    listed = {name: named.get(name) or beside.get(name) for name in methods}
    absent = tuple(name for name, path in listed.items() if path is None)
    files = students_of(own_twin(Path(twin)), teacher, absent, len(facts.classes)) if absent else {}
    written = dict(zip(absent, files, strict=True))
    recipes = [path or written[name] for name, path in listed.items()]
    return replace(suits, recipes=recipes, files={**suits.files, **files})


def _method(config: Config) -> str | None:
    types = tuple(method["type"] for method in config.distillation.methods)
    return next((name for name, known in OWN_METHODS.items() if known == types), None)


def _beside(recipe: Path, config: Config, method: str, twin: str) -> Path | None:
    """Recipes are called after their methods (docs/recipes.md)."""
    prefix = f"{_method(config)}_"
    path = recipe.with_name(recipe.name.replace(prefix, f"{method}_", 1))
    if not recipe.name.startswith(prefix) or not path.is_file():
        return None
    found = read_recipe(path)
    return path if (found.get("twin"), _method(found)) == (twin, method) else None
