"""Rows of classes of the same name, held against a lookup row by row, and what is left to the model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.detectors.class_layers import ClassLayer
from pipeline.training.transfer import classes_of, matched, transfer

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@settings(max_examples=60)
@given(NAMES, NAMES, st.integers(1, 3), st.integers(0, 1), st.sampled_from([1, 4]))
def test_each_row_is_that_of_its_name(
    names: list[str], classes: list[str], anchors: int, background: int, numbers: int
) -> None:
    layer = ClassLayer(anchors, len(classes), background, numbers)
    rows = anchors * (len(names) + background) * numbers
    theirs = torch.arange(rows * 2, dtype=torch.float32).reshape(rows, 2)
    own = -1 - torch.arange(layer.rows * 2, dtype=torch.float32).reshape(layer.rows, 2)
    plan = transfer({"head.cls.weight": own}, {"head.cls.weight": theirs}, {"head.cls": layer}, names, classes)
    common = [name for name in classes if name in names]
    assert plan.carried == common
    if not common:
        assert (plan.tensors, plan.new, plan.left) == ({}, ["head.cls.weight"], ["head.cls.weight"])
        return
    expected = own.clone()
    for anchor in range(anchors):
        for label, name in enumerate([*classes, *["background"] * background]):
            place = [*names, "background"].index(name) if name in [*names, "background"] else None
            for number in range(numbers):
                row = (anchor * (len(classes) + background) + label) * numbers + number
                if place is not None:
                    expected[row] = theirs[(anchor * (len(names) + background) + place) * numbers + number]
    assert torch.equal(plan.tensors["head.cls.weight"], expected)
    assert plan.refitted == ["head.cls.weight"]
    assert classes_of({"head.cls.weight": theirs}, {"head.cls": layer}) == len(names)


def test_names_match_without_regard_to_case_and_outer_spaces() -> None:
    assert matched(["Cat", " dog ", "t-shirt"], ["DOG", "cat", "t shirt", "cow"]) == {0: 1, 1: 0}


def test_what_does_not_fit_stays_the_models_own() -> None:
    own = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}
    plan = transfer(own, {"a": torch.ones(2), "b": torch.ones(4), "d": torch.ones(1)}, {}, [], ["cat"])
    assert (list(plan.tensors), plan.refitted, plan.new, plan.left) == (["a"], [], ["b", "c"], ["b", "d"])


@pytest.mark.parametrize("names", [[], ["cat"], ["cat", "dog", "cow"]])
def test_a_class_layer_of_unknown_or_too_many_names_stays_the_models_own(names: list[str]) -> None:
    layer = {"head.cls": ClassLayer(1, 2, 0)}
    state = {"head.cls.bias": torch.ones(2)}
    plan = transfer({"head.cls.bias": torch.zeros(2)}, state, layer, names, ["cat", "dog"])
    assert (plan.tensors, plan.new, plan.carried) == ({}, ["head.cls.bias"], [])


@pytest.mark.parametrize("shape", [(), (5,), (6, 2)])
def test_a_class_layer_of_another_shape_stays_the_models_own(shape: tuple[int, ...]) -> None:
    layer = {"head.cls": ClassLayer(2, 3, 0)}
    state: dict[str, Tensor] = {"head.cls.bias": torch.ones(shape)}
    plan = transfer({"head.cls.bias": torch.zeros(6)}, state, layer, ["a", "b", "c"], ["a", "b", "c"])
    assert plan.new == ["head.cls.bias"]
