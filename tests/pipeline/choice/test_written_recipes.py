"""Recipes that are written: what is read back, and what is left alone."""

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from pipeline.choice.written_recipes import recipe_text, recipes_written
from pipeline.errors import RecipeError

CONTENT: dict[str, Any] = {
    "model": {
        "type": 'a "quoted" \\ name\nü',
        "scales": [(1333, 800), (640,), ()],
        "rates": [1e-05, 0.1, -3, True, None],
        "by place": {"backbone.layer1": {"lr_mult": 0.1}, 3: {}, "lambda": 1},
        "long": {f"key_{number}": [number] * 9 for number in range(9)},
    },
    "nothing": [],
}


def test_what_is_written_is_read_back_and_fits_the_screen(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("inherited = 1\n")
    path = tmp_path / "it.py"
    path.write_text(recipe_text("mine.py", ["./base.py"], CONTENT), encoding="utf-8")
    assert Config.fromfile(str(path)).to_dict() == {"inherited": 1, **CONTENT}
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120
    assert "# From mine.py\n" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [print, math.inf, math.nan, {1, 2}, b"x", [{"deep": object()}]])
def test_what_is_no_plain_value_is_named(value: Any) -> None:
    with pytest.raises(RecipeError, match=r"model\..*: a recipe holds plain values alone"):
        recipe_text("mine.py", [], {"model": {"key": value}})


def test_an_edited_file_is_not_overwritten_and_others_are(tmp_path: Path) -> None:
    path, other = tmp_path / "own/twin_it.py", tmp_path / "own/new.py"
    first, second = (recipe_text("mine.py", [], {"size": size}) for size in (1, 2))
    with recipes_written({path: first}):
        pass
    with recipes_written({path: second}):
        assert path.read_text() == second
    path.write_text(second + "size = 3\n")
    with (
        pytest.raises(RecipeError, match=r"twin_it\.py is yours.* Go on with it \(MODEL=.*twin_it\.py"),
        recipes_written({other: first, path: first}),
    ):
        pass
    assert path.read_text() == second + "size = 3\n"
    assert not other.exists()
    path.write_text("size = 3\n")  # a file of another's altogether
    with pytest.raises(RecipeError, match="is yours"), recipes_written({path: first}):
        pass


def test_an_error_takes_back_what_was_written(tmp_path: Path) -> None:
    path, other = tmp_path / "own/twin_it.py", tmp_path / "own/new.py"
    first, second = (recipe_text("mine.py", [], {"size": size}) for size in (1, 2))
    with recipes_written({path: first}):
        pass
    stack = ExitStack()
    stack.enter_context(recipes_written({path: second, other: second}))
    assert (path.read_text(), other.read_text()) == (second, second)
    error = RecipeError("later")
    assert not stack.__exit__(RecipeError, error, None)
    assert (path.read_text(), other.exists()) == (first, False)
