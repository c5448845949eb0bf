"""mmdet's own RTMDet and YOLOX configurations on pictures of 64 px: all that they say, with small numbers in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmdet

from pipeline.recipes import Recipe, load_resolved, read_recipe, resolve, write_resolved
from pipeline.recipes.honoured import KEPT
from pipeline.records import DatasetRecord

ZOO = Path(mmdet.__path__[0]) / ".mim/configs"
# Sizes in pixels; YOLOX's batches get others, of 32 to 96.
_SIZES = {640: 64, 1280: 128, 416: 64, -320: -32, 320: 32}
RTMDET: dict[str, Any] = {
    "model.backbone": {"widen_factor": 0.25, "init_cfg": None},
    "model.neck": {"in_channels": [64, 128, 256], "out_channels": 64},
    "model.bbox_head": {"in_channels": 64, "feat_channels": 64},
    "train_dataloader.batch_size": 4,
    # Three epochs, of which the last is the second stage, as 20 of 300.
    "train_cfg": {"max_epochs": 3, "val_interval": 3, "dynamic_intervals": [(3, 1)]},
    "param_scheduler.0.end": 2,
    "param_scheduler.1": {"begin": 1, "end": 3, "T_max": 2},
    "custom_hooks.1.switch_epoch": 2,
}
YOLOX: dict[str, Any] = {
    "model.backbone.widen_factor": 0.125,
    "model.neck": {"in_channels": [32, 64, 128], "out_channels": 32},
    "model.bbox_head": {"in_channels": 32, "feat_channels": 32},
    "model.data_preprocessor.batch_augments.0": {"random_size_range": (32, 96), "interval": 4},
    "train_dataloader.batch_size": 4,
    "optim_wrapper.optimizer.lr": 0.002,
    "train_cfg": {"max_epochs": 3, "val_interval": 3},
    "param_scheduler.0.end": 1,
    "param_scheduler.1": {"begin": 1, "end": 2, "T_max": 2},
    "param_scheduler.2": {"begin": 2, "end": 3},
    # Which is from the second epoch on: mmdet begins one earlier than it says.
    "custom_hooks.0.num_last_epochs": 1,
}


def shrunk(folder: Path, file: str, dataset: DatasetRecord, changes: Mapping[str, Any], name: str = "zoo") -> Recipe:
    """A configuration of mmdet's as a resolved recipe, its sizes and what ``changes`` says aside as it is."""
    config = read_recipe(ZOO / file)
    config.merge_from_dict(dict(changes))
    kept = {key: value for key, value in _small(config.to_dict()).items() if key in KEPT}
    content = {**kept, "input_size": (64, 64)}
    path = folder / f"{name}.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in content.items()))
    write_resolved(folder / f"{name}.json", resolve(path, dataset, {}))
    return load_resolved(folder / f"{name}.json")


def _small(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _small(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(map(_small, node))
    return _SIZES.get(node, node) if isinstance(node, int) else node
