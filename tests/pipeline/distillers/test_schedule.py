"""The weight schedule of distillation."""

from typing import Any

import pytest
import torch

from pipeline.distillers import Distiller, WeightSchedule, build_methods, build_schedule
from pipeline.errors import RecipeError


def test_the_default_is_the_published_constant() -> None:
    assert {WeightSchedule().factor(iteration) for iteration in (1, 10, 10**6)} == {1.0}


def test_rises_stays_falls_and_stays_off() -> None:
    schedule = WeightSchedule(warmup=3, decay_begin=10, decay_end=14)
    factors = [schedule.factor(iteration) for iteration in (1, 2, 3, 4, 10, 11, 12, 13, 14, 99)]
    assert factors == [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_a_hard_stop() -> None:
    schedule = WeightSchedule(decay_begin=5, decay_end=6)
    assert [schedule.factor(iteration) for iteration in (5, 6)] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"decay_begin": 5}, "both decay_begin and decay_end"),
        ({"decay_begin": 5, "decay_end": 5}, "decay_begin < decay_end"),
        ({"warmup": 6, "decay_begin": 5, "decay_end": 9}, "warmup <= decay_begin"),
        ({"warmup": -1}, "0 <= warmup"),
        ({"stop": 5}, "does not take these keys: .*'stop'"),
    ],
)
def test_a_wrong_schedule_is_explained(config: dict[str, int], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_schedule(config)


def test_scales_the_method_and_then_leaves_the_teacher_alone(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl().eval(), make_gfl(channels=8)
    methods = build_methods([{"type": "CrossKD", "reused_head_index": 1}], student, teacher)
    full = Distiller(student, teacher, methods)(**batch, mode="loss")
    distiller = Distiller(student, teacher, methods, WeightSchedule(decay_begin=0, decay_end=2))
    half = distiller(**batch, mode="loss")
    torch.testing.assert_close(torch.stack(half["loss_cls_kd"]) * 2, torch.stack(full["loss_cls_kd"]))
    torch.testing.assert_close(torch.stack(half["loss_cls"]), torch.stack(full["loss_cls"]))
    calls: list[object] = []
    teacher.backbone.register_forward_hook(lambda *_: calls.append(None))
    assert not any(name.endswith("_kd") for name in distiller(**batch, mode="loss"))
    assert calls == []
