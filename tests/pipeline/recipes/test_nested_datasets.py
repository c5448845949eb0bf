"""Data sets within others, as recipes have them."""

from typing import Any

import pytest

from pipeline.recipes.clock import epoch_of
from pipeline.recipes.nested_datasets import innermost, is_honoured, layers, repeats, steps_of, with_innermost

READING: dict[str, Any] = {"type": "CocoDataset", "ann_file": "a.json", "pipeline": [{"type": "LoadImageFromFile"}]}
MIXED: dict[str, Any] = {
    "type": "mmdet.MultiImageMixDataset",
    "pipeline": [{"type": "Mosaic"}, {"type": "PackDetInputs"}],
    "max_refetch": 3,
    "dataset": READING,
}
REPEATED: dict[str, Any] = {"type": "RepeatDataset", "times": 3, "dataset": MIXED}


def test_steps_are_in_the_order_of_an_image() -> None:
    assert [(key, step["type"]) for key, step in steps_of(REPEATED)] == [
        ("dataset.dataset.pipeline.0", "LoadImageFromFile"),
        ("dataset.pipeline.0", "Mosaic"),
        ("dataset.pipeline.1", "PackDetInputs"),
    ]
    assert innermost(REPEATED) is READING
    assert layers(READING) == [READING]


def test_another_data_set_in_the_middle_leaves_those_around_it() -> None:
    changed = with_innermost(REPEATED, lambda reading: {"type": "CocoDataset", "was": reading["ann_file"]})
    assert changed == {**REPEATED, "dataset": {**MIXED, "dataset": {"type": "CocoDataset", "was": "a.json"}}}


@pytest.mark.parametrize(
    ("dataset", "honoured"),
    [
        (READING, True),
        (MIXED, True),
        (REPEATED, True),
        ({**MIXED, "dataset": {**REPEATED, "dataset": READING}}, True),
        ({**MIXED, "dynamic_scale": (8, 8)}, False),
        ({key: value for key, value in MIXED.items() if key != "pipeline"}, False),
        ({**REPEATED, "dataset": {**READING, "type": "VOCDataset"}}, False),
        ({"type": "ClassBalancedDataset", "oversample_thr": 0.1, "dataset": READING}, False),
        ({"type": "ConcatDataset", "datasets": [READING]}, False),
    ],
)
def test_what_is_taken(dataset: dict[str, Any], honoured: bool) -> None:
    assert is_honoured(dataset) == honoured


def test_an_epoch_has_each_image_as_often_as_it_is_repeated() -> None:
    twice = {"type": "RepeatDataset", "times": 2, "dataset": REPEATED}
    assert repeats(twice) == 6
    assert epoch_of({"train_dataloader": {"batch_size": 4, "dataset": twice}}, 11) == 17  # 66 images
