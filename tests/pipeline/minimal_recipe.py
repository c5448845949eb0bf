"""The least that a resolved recipe holds, for tests that need one and train nothing."""

from typing import Any

CONFIG: dict[str, Any] = {
    "model": {"type": "GFL", "data_preprocessor": {"type": "DetDataPreprocessor"}},
    "input_size": [64, 64],
    "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
    "param_scheduler": [],
    "train_cfg": {"max_iters": 1},
    "train_dataloader": {"batch_size": 1, "sampler": {"type": "InfiniteSampler"}, "dataset": {}},
    "val_dataloader": {"sampler": {"type": "DefaultSampler"}, "dataset": {}},
}
