"""Part 5 with two processes on this machine: they share the mean of their gradients, and one that fails is told."""

import torch

from benchmarks.gpu_proof import collectives
from benchmarks.gpu_proof.part import run_check
from benchmarks.gpu_proof.place import Place


def test_two_processes_hold_the_mean_of_their_gradients(place: Place) -> None:
    two = Place(place.device, True, place.scratch)
    found = {check.name: check for check in collectives.checks(two)}
    result = run_check(found["a process for each GPU"])
    assert (result.status, result.reason) == ("passed", "")
    assert (result.numbers["backend"], result.numbers["processes"]) == ("gloo", 2)
    assert result.numbers["between processes, relative"] == 0
    assert float(result.numbers["to the mean, relative"]) < 1e-5


def test_a_process_that_fails_is_told(place: Place) -> None:
    broken = Place(torch.device("cuda", 0), False, place.scratch)
    result = run_check(next(iter(collectives.checks(broken))))
    assert result.status == "failed"
    assert result.reason.startswith("process 0 of 1, exit code 1")
