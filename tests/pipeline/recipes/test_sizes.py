"""The sizes for data of one's own are what their table says, and each method distils each of them."""

import re
from pathlib import Path

import pytest
import torch

from pipeline.complexity import measure_complexity
from pipeline.distillers import Distiller, build_methods
from pipeline.recipes import Recipe, build_detector, load_resolved, read_recipe, resolve, write_resolved
from pipeline.recipes.plain_settings import PlainSettings
from pipeline.training.step_time import random_batch
from tests.minimal_dataset import minimal_dataset

STUDENTS = Path("configs/students")
TABLE = Path("docs/recipes.md").read_text()
MODELS = {
    "twin_gfl_n_own": "students",
    "twin_gfl_s_own": "students",
    "twin_gfl_m_own": "students",
    "gfl_mobilenetv2_own": "teachers",
    "gfl_r50_own": "teachers",
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_flops_are_those_of_the_table(name: str, tmp_path: Path) -> None:
    row = next(line for line in TABLE.splitlines() if f"`{name}`" in line and line.startswith("|"))
    told = [float(cell) for cell in re.findall(r"\| (\d+\.\d+)(?= )", row)]
    found = []
    for size in (320, 640):
        path = Path("configs") / MODELS[name] / f"{name}.py"
        resolved = resolve(path, minimal_dataset("a", "b", "c"), {}, PlainSettings(input_size=(size, size)))
        write_resolved(tmp_path / "model.json", resolved)
        with torch.device("meta"):
            complexity = measure_complexity(build_detector(load_resolved(tmp_path / "model.json")), (size, size))
        found.append(complexity)
    assert told == [round(found[0].parameters / 1e6, 2), *(round(each.flops / 1e9, 2) for each in found)]


def recipe(path: Path, folder: Path) -> Recipe:
    """A recipe for three classes at a size that a step is taken at in no time."""
    resolved = resolve(path, minimal_dataset("a", "b", "c"), {}, PlainSettings(input_size=(64, 96)))
    write_resolved(folder / f"{path.stem}.json", resolved)
    return load_resolved(folder / f"{path.stem}.json")


@pytest.mark.parametrize("size", ["n", "s", "m"])
def test_cskd_of_a_size_has_finite_losses_that_all_reach_the_student(size: str, tmp_path: Path) -> None:
    found = recipe(STUDENTS / f"cskd_gfl_{size}_own.py", tmp_path)
    student, source = build_detector(found), read_recipe(STUDENTS / f"cskd_gfl_{size}_own.py")
    teacher = build_detector(recipe(Path(source.teacher), tmp_path)).eval()
    methods = build_methods(found.config.distillation.methods, student, teacher)
    distiller = Distiller(student, teacher, methods).train()
    data = distiller.data_preprocessor(random_batch(1, (64, 96), 3), training=True)
    losses = distiller(**data, mode="loss")
    distilled = {name: loss if isinstance(loss, torch.Tensor) else sum(loss) for name, loss in losses.items()}
    distilled = {name: loss for name, loss in distilled.items() if name.endswith("_kd")}
    assert len(distilled) == 11
    assert source.twin == f"configs/students/twin_gfl_{size}_own.py"
    weights = student.neck.lateral_convs[0].conv.weight
    for name, loss in distilled.items():
        assert torch.isfinite(loss), name
        (gradient,) = torch.autograd.grad(loss, weights, retain_graph=True)
        assert gradient.abs().max() > 0, name
