"""Mixed precision on every device: mmengine's own wrapper refuses to run without an accelerator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class AutocastOptimWrapper(OptimWrapper):
    """Optimizer wrapper with autocast on CPU and GPU, and loss scaling for fp16.

    Args:
        device_type: ``cpu`` or ``cuda``.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    def __init__(self, device_type: str, precision: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device_type = device_type
        self.dtype = DTYPES[precision]
        self.scaler = torch.amp.GradScaler(device_type, enabled=precision == "fp16")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        enabled = self.dtype is not torch.float32
        with super().optim_context(model), torch.autocast(self.device_type, self.dtype, enabled=enabled):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        super().backward(self.scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        self.scaler.load_state_dict(state.pop("scaler", {}))
        super().load_state_dict(state)
