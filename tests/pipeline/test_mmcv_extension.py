"""Which extension module mmcv gets, and what the stand-in says of the operators that it does not have."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pipeline.mmcv_extension import NAME, provide
from pipeline.mmcv_ops.extension import TorchvisionOps


def test_missing_operator_names_itself_and_the_cure() -> None:
    from mmcv.ops import carafe_naive

    with pytest.raises(NotImplementedError, match=r"'carafe_naive_forward' .* full mmcv"):
        carafe_naive(torch.zeros(1, 2, 4, 4), torch.zeros(1, 9, 8, 8), 3, 1, 2)


def test_providing_again_adds_nothing() -> None:
    before = list(sys.meta_path)
    provide()
    assert sys.meta_path == before


def test_a_loaded_real_extension_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleType(NAME)
    monkeypatch.setitem(sys.modules, NAME, real)
    assert importlib.import_module(NAME) is real


def test_an_installed_real_extension_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import mmcv

    (tmp_path / "_ext.py").write_text("real = True\n")
    monkeypatch.setattr(mmcv, "__path__", [*mmcv.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, NAME)
    assert importlib.import_module(NAME).real


def test_the_stand_in_is_used_where_no_extension_is_installed() -> None:
    assert isinstance(sys.modules[NAME], TorchvisionOps)
