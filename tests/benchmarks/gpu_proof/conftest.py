"""A simulated CUDA device for the parts: host memory in the place of a GPU's, and everything else as on one."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu_proof.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Not a rehearsal: what a part does on a GPU alone, it does here."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Place(torch.device("cpu"), False, scratch)
