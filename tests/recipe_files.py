"""The recipes of ``configs/``: what goes over all of them reads each file once, which is most of a recipe's time."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config

from pipeline.recipes import read_recipe

STUDENTS = sorted(Path("configs/students").glob("*.py"))
TEACHERS = sorted(Path("configs/teachers").glob("*.py"))
RECIPES = [*STUDENTS, *TEACHERS]


@cache
def _read(path: Path) -> Config:
    return read_recipe(path)


def recipe_of(path: Path) -> Config:
    """A recipe as it is written, to be changed at will."""
    return deepcopy(_read(path))


@pytest.fixture
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``resolve`` and ``read_choice`` read a recipe of ``configs/`` once a process."""
    for module in ("pipeline.recipes.resolving", "pipeline.choice.recipes"):
        monkeypatch.setattr(f"{module}.read_recipe", recipe_of)
