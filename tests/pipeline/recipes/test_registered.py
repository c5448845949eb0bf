"""Which types a recipe and options may name."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RecipeError
from pipeline.recipes import resolve
from pipeline.recipes.registered import check_types, registered
from tests.minimal_dataset import minimal_dataset

TWIN = Path("configs/students/twin_gfl_r18w16_embedded.py")
RUNS = "__import__('os').system('touch started')"


@pytest.mark.parametrize(
    ("key", "name", "message"),
    [
        ("model.backbone.type", "subprocess.Popen", r"model\.backbone\.type = 'subprocess\.Popen': a type is a reg"),
        ("optim_wrapper.optimizer.type", "torch.optim.AdamW", r"no module's; did you mean 'AdamW'\?"),
        ("model.backbone.norm_cfg.type", "os.system", "no module's"),
        ("model.backbone.type", "antigravity", "have no such type"),
        ("model.backbone.type", "A" * 1_000_000, "have no such type"),
        ("model.backbone.type", "ResNett", r"did you mean 'ResNet'\?"),
        ("model.backbone.type", "mmdet.ResNett", r"did you mean 'ResNet'\?"),
        ("model.backbone.type", 3, "give the registered name as text"),
        ("model.backbone.type", ["ResNet"], "give the registered name as text"),
        ("model.test_cfg.nms.type", RUNS, "known: nms, soft_nms"),
        ("train_dataloader.dataset.pipeline.1.type", "builtins.exec", r"pipeline\.1\.type"),
        ("model.train_cfg.assigner", {"type": "subprocess.run", "args": ["touch", "started"]}, "assigner"),
        ("model.bbox_head.loss_cls", [{"a": {"type": RUNS}}], r"loss_cls\.0\.a\.type"),
        ("custom_hooks", [{"type": "RFSearchHook"}], r"custom_hooks\.0\.type = 'RFSearchHook': it evaluates text"),
    ],
)
def test_an_option_starts_nothing(tmp_path: Path, key: str, name: Any, message: str) -> None:
    dataset = minimal_dataset("a")
    twin = tmp_path / "own.py"
    twin.write_text(f"_base_ = [{str(TWIN.resolve())!r}]\ncustom_hooks = []\n")
    with pytest.raises(RecipeError, match=message) as caught:
        resolve(twin, dataset, {key: name})
    assert len(str(caught.value)) < 2000
    assert not Path("started").exists()


def test_names_of_all_registries_and_scopes_are_taken() -> None:
    assert {
        "GFL",
        "ResNet",
        "Conv2d",
        "BN",
        "SyncBN",
        "AdamW",
        "CosineAnnealingLR",
        "EMAHook",
        "Normal",
    } <= registered()
    check_types({"model": {"type": "mmdet.GFL", "norm": {"type": "BN"}, "nms": {"type": "soft_nms"}}}, "r.py")
    check_types({"distillation": {"methods": [{"type": "CrossKD"}]}}, "r.py")  # the methods' own names
