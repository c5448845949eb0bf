"""Everything of mmdet's own configurations is built before a training; what cannot be is named."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RecipeError
from pipeline.records import DatasetRecord
from pipeline.training.dry_build import build_once
from tests.pipeline.training.zoo import RTMDET, YOLOX, shrunk

Squares = tuple[DatasetRecord, Path]
RTMDET_FILE, YOLOX_FILE = "rtmdet/rtmdet_tiny_8xb32-300e_coco.py", "yolox/yolox_tiny_8xb8-300e_coco.py"


@pytest.mark.parametrize(("file", "changes"), [(RTMDET_FILE, RTMDET), (YOLOX_FILE, YOLOX)])
def test_all_of_a_configuration_is_built(squares: Squares, tmp_path: Path, file: str, changes: dict[str, Any]) -> None:
    detector = build_once(shrunk(tmp_path, file, squares[0], changes), None)
    assert detector.bbox_head.num_classes == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"custom_hooks.0.priority": "SOMETIMES"}, r"custom_hooks\.0 cannot be built: .*SOMETIMES"),
        ({"custom_hooks.0.gama": 3}, r"custom_hooks\.0 cannot be built: .*gama"),
        (
            {"custom_hooks.0.ema_type": "subprocess.Popen"},
            r"custom_hooks\.0\.ema_type = 'subprocess\.Popen': a type is",
        ),
        ({"custom_hooks.1.switch_pipeline.2.scail": 3}, r"custom_hooks\.1 cannot be built: .*scail"),
    ],
)
def test_a_hook_that_cannot_be_built_is_named(
    squares: Squares, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(RecipeError, match=rf"(?s)zoo\.py.*{told}"):
        build_once(shrunk(tmp_path, RTMDET_FILE, squares[0], RTMDET | changes), None)
