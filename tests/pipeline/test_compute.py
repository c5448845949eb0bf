"""Torch's threads where a container gets less CPU time than the machine has cores."""

from collections.abc import Iterator

import pytest
import torch

from pipeline import compute


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(("cores", "given", "threads"), [(2, None, 2), (16, None, 4), (2, "3", 4)])
def test_torch_gets_no_more_threads_than_cores(
    cores: int, given: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(compute, "usable_cores", lambda: cores)
    compute.use_own_cores()
    assert torch.get_num_threads() == threads
