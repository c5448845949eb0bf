"""Part 2 at toy size: numbers of every case, and a faster teacher that answers otherwise fails."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.gpu_proof import step_speed
from benchmarks.gpu_proof.part import run_check
from benchmarks.gpu_proof.place import Place
from pipeline.recipes import method_name, read_recipe

COCO_PAIRS = step_speed.PAIRS


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_speed, "PAIRS", step_speed.TOY_PAIRS)
    for name, value in {"_BATCH": 1, "_SIZE": (64, 96), "_CLASSES": 10, "_ROUNDS": 1, "_WARMUP": 0}.items():
        monkeypatch.setattr(step_speed, name, value)
    monkeypatch.setattr(step_speed, "_TEACHER_CALLS", 2)


def test_the_pair_is_one_student_with_three_methods_and_its_teacher() -> None:
    (pair,) = COCO_PAIRS
    recipes = [read_recipe(path) for path in pair.recipes]
    assert [method_name(recipe) for recipe in recipes] == ["CrossKD", "CrossKD+PKD", "CSKD"]
    assert {(recipe.model.type, recipe.model.backbone.depth) for recipe in recipes} == {("GFL", 50)}
    assert read_recipe(pair.teacher).model.backbone.depth == 101


def test_a_step_gives_numbers_of_the_twin_and_of_every_method(place: Place) -> None:
    check = next(check for check in step_speed.checks(place) if check.name == "GFL: step in plain")
    found = run_check(check)
    assert (found.status, found.reason) == ("passed", "")
    assert {name.partition(": ")[0] for name in found.numbers} == {"student alone", "CrossKD"}
    assert float(found.numbers["CrossKD: step, ms"]) > float(found.numbers["CrossKD: method, ms"]) > 0
    parts = ["student alone: step, ms", "CrossKD: teacher, ms", "CrossKD: method, ms"]
    ratio = float(found.numbers["CrossKD: step, ms"]) / sum(float(found.numbers[name]) for name in parts)
    assert found.numbers["CrossKD: step / sum of parts"] == pytest.approx(ratio)


def test_a_teacher_run_in_another_way_is_timed_and_held_against_the_plain_one(place: Place) -> None:
    numbers: dict[str, Any] = {}
    step_speed._teacher(place, step_speed.TOY_PAIRS[0], lambda place, teacher, images: teacher, numbers)
    assert numbers["relative distance of the outputs"] == 0
    assert numbers["times as fast"] == pytest.approx(numbers["plain, ms"] / numbers["this way, ms"])

    def doubled(place: Place, teacher: Any, images: torch.Tensor) -> Any:
        return lambda given: [[2 * tensor for tensor in each] for each in teacher(given)]

    with pytest.raises(Exception, match="relative distance of the outputs"):
        step_speed._teacher(place, step_speed.TOY_PAIRS[0], doubled, numbers)


def test_a_device_without_graphs_says_so(place: Place) -> None:
    check = next(check for check in step_speed.checks(place) if check.name == "GFL: teacher as one CUDA graph")
    assert run_check(check).reason == "CUDA graphs need a CUDA device"


class Recorded:
    """A CUDA graph made of calls: what runs inside is the recording, and replaying counts."""

    replays = 0

    def replay(self) -> None:
        Recorded.replays += 1


def test_a_graph_is_recorded_after_warming_up_and_its_outputs_are_those_of_the_recording(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    stream = SimpleNamespace(wait_stream=lambda other: happened.append("waits"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recorded)
    monkeypatch.setattr(torch.cuda, "graph", lambda _: nullcontext(happened.append("records")))

    def teacher(images: torch.Tensor) -> torch.Tensor:
        happened.append("runs")
        return images + 1

    on_a_gpu = Place(torch.device("cuda"), False, place.scratch)
    replay = step_speed._graphed(on_a_gpu, teacher, torch.zeros(2))
    assert happened == ["waits", "runs", "runs", "runs", "waits", "records", "runs"]
    assert torch.equal(replay(torch.zeros(2)), torch.ones(2))
    assert Recorded.replays == 1
