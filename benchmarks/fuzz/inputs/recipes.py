"""Recipes as they are written, and as the recipes stage resolves them, up to the detector that they describe."""

import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.odd_values import PYTHON, Tuple
from benchmarks.fuzz.tree_damage import damage_tree, json_damage, written
from pipeline.errors import PipelineError
from pipeline.layout import origin_file
from pipeline.recipes import check_initialised, load_resolved, read_recipe, resolve, write_resolved
from pipeline.recipes.consistency import check_whole
from pipeline.records import DatasetRecord
from pipeline.training.dry_build import build_once

_RECIPE = Path("configs/students/crosskd_pkd_gfl_mobilenetv2_r18w16_embedded.py")
_DATASET = DatasetRecord(
    name="fuzz", title="Fuzz", composed=True, classes=["crown", "trunk"], splits={}, credits=[], findings=[]
)
_IMAGES = 1200
# A detector of thousands of channels is a large one, and is built for as long as it takes.
_LARGEST = 1000
# Errors name the recipe, so this is called as it is.
_OPTIONS_FILE = f"{_RECIPE.stem}.options.json"
_OPTIONS = {"train_dataloader.batch_size": 2, "model.neck.out_channels": 32, "model.backbone": {"base_channels": 8}}


def _changeable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _changeable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (Tuple if isinstance(value, tuple) else list)(map(_changeable, value))
    return value


_TREE = _changeable(read_recipe(_RECIPE).to_dict())


def _text(tree: Any) -> bytes:
    """A configuration file of one tree: a line a key."""
    if not isinstance(tree, dict):
        return written(tree, PYTHON)
    lines = [(key.text if not isinstance(key, str) else key.encode()).strip(b"'") for key in tree]
    return b"\n".join(key + b" = " + written(value, PYTHON) for key, value in zip(lines, tree.values(), strict=True))


def _value_damage(random: Random, _: bytes) -> bytes:
    return _text(damage_tree(random, _TREE, PYTHON))


def _resolved() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "resolved.json")
        write_resolved(target, resolve(_RECIPE, _DATASET, {}))
        return target.read_bytes(), origin_file(target).read_bytes()


def _read(path: Path) -> None:
    resolved = path.parent / f"{_RECIPE.stem}.json"
    origin = origin_file(resolved)
    for other, content in ((resolved, _JSON), (origin, _ORIGIN)):
        if other != path and path.suffix == ".json":
            other.write_bytes(content)
    if path.suffix == ".py":
        _resolve(path, {}, resolved)
    elif path.name == _OPTIONS_FILE:
        options = json.loads(path.read_bytes())
        _resolve(_RECIPE, options if isinstance(options, dict) else {}, resolved)
    recipe = load_resolved(resolved)
    assert all(isinstance(side, int) for side in recipe.input_size)
    if _largest(recipe.config.model) <= _LARGEST:
        build_once(recipe, None)


def _resolve(path: Path, options: dict[str, Any], target: Path) -> None:
    """What the stage does with a recipe before it builds it."""
    resolved = resolve(path, _DATASET, options)
    write_resolved(target, resolved)
    check_whole(resolved.content["config"], path, _IMAGES)
    check_initialised(resolved.content["config"], path)


def _largest(node: Any) -> float:
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    own = abs(node) if isinstance(node, int | float) else 0
    return max([own, *map(_largest, items)])


def _options_damage(random: Random, content: bytes) -> bytes:
    """Overrides as ``params.yaml`` may hold them: what is no json at all never gets there."""
    while True:
        damaged = json_damage(random, content)
        try:
            json.loads(damaged)
        except (ValueError, RecursionError):
            continue
        return damaged


_JSON, _ORIGIN = _resolved()
KIND = Kind(
    samples={
        "written": Sample("recipe.py", _text(_TREE), _value_damage),
        "options": Sample(_OPTIONS_FILE, json.dumps(_OPTIONS).encode(), _options_damage),
        "resolved": Sample(f"{_RECIPE.stem}.json", _JSON, json_damage),
        "origin": Sample(f"{_RECIPE.stem}.origin.json", _ORIGIN, json_damage),
    },
    read=_read,
    own=(PipelineError,),
    share=0.7,
)
