"""The least that a resolved recipe holds, for tests that need one and train nothing."""

from typing import Any

CONFIG: dict[str, Any] = {
    "model": {},
    "input_size": [64, 64],
    "optim_wrapper": {},
    "param_scheduler": [],
    "train_cfg": {},
    "train_dataloader": {},
    "val_dataloader": {"dataset": {}},
}
