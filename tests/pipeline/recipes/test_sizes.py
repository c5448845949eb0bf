"""The sizes for data of one's own are what their table says."""

import re
from pathlib import Path

import pytest
import torch

from pipeline.complexity import measure_complexity
from pipeline.recipes import build_detector, load_resolved, resolve, write_resolved
from pipeline.recipes.plain_settings import PlainSettings
from tests.minimal_dataset import minimal_dataset

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
