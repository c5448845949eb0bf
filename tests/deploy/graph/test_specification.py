"""What an artefact says of itself, by its recipe."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from deploy.graph.specification import describe
from pipeline.deploy_settings import ExportSettings
from pipeline.recipes import load_resolved, resolve, write_resolved
from tests.minimal_dataset import minimal_dataset

RTMDET = Path("configs/students/twin_rtmdet_tiny_300e_coco.py")
GFL = Path("configs/students/twin_gfl_r18_1x_coco.py")
MEAN = SimpleNamespace(
    _enable_normalize=True,
    _channel_conversion=False,
    pad_size_divisor=32,
    mean=torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1),
    std=torch.ones(3, 1, 1),
)


@pytest.mark.parametrize(
    ("path", "options", "colour"),
    [
        (GFL, {}, (104, 116, 124)),
        (RTMDET, {}, (114, 114, 114)),
        (RTMDET, {"val_dataloader.dataset.pipeline.2.pad_val": {"img": [1, 2, 3]}}, (1, 2, 3)),
        (RTMDET, {"val_dataloader.dataset.pipeline.2.pad_val": 7}, (7, 7, 7)),
    ],
)
def test_a_canvas_is_filled_as_the_test_pipeline_fills_it(
    path: Path, options: dict[str, Any], colour: tuple[int, int, int], tmp_path: Path
) -> None:
    write_resolved(tmp_path / "model.json", resolve(path, minimal_dataset("a"), options))
    recipe = load_resolved(tmp_path / "model.json")
    assert describe(recipe, MEAN, "", "", ExportSettings(models=["student"])).pad_value == colour
