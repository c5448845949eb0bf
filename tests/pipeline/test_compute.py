"""Torch's threads where a container gets less CPU time than the machine has cores."""

import os
import subprocess
import sys

import pytest

CODE = """
import torch
from pipeline import compute
torch.set_num_threads(4)
compute.usable_cores = lambda: {cores}
compute.use_own_cores()
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(("cores", "given", "threads"), [(2, None, 2), (16, None, 4), (2, "3", 4)])
def test_torch_gets_no_more_threads_than_cores(cores: int, given: str | None, threads: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": given} if given else {}
    command = [sys.executable, "-c", CODE.format(cores=cores)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert int(said) == threads
