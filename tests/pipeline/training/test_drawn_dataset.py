"""A data set whose images change with a draw: each one is made as the draw's number says."""

from pathlib import Path
from typing import Any

import pytest
from mmdet.utils import register_all_modules

from pipeline.datasets.prepared import split_paths
from pipeline.records import DatasetRecord
from pipeline.training.drawn_dataset import DrawnDataset
from pipeline.training.draws import Draw
from pipeline.training.switches import Switch

Squares = tuple[DatasetRecord, Path]
LOAD: list[dict[str, Any]] = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations", "with_bbox": True}]
FLIP = {"type": "RandomFlip", "prob": 0.5}


def to(side: int) -> list[dict[str, Any]]:
    return [{"type": "Resize", "scale": (side, side)}, FLIP, {"type": "PackDetInputs"}]


@pytest.fixture
def reading(squares: Squares) -> dict[str, Any]:
    register_all_modules(init_default_scope=True)
    record, folder = squares
    annotations, root = split_paths(folder, record.splits["train"])
    return {
        "type": "CocoDataset",
        "ann_file": str(annotations),
        "data_prefix": {"img": str(root)},
        "metainfo": {"classes": tuple(record.classes)},
        "pipeline": LOAD + to(32),
    }


def mixed(reading: dict[str, Any]) -> dict[str, Any]:
    mosaic = {"type": "Mosaic", "img_scale": (16, 16)}  # makes 32 x 32 of four
    steps = [mosaic, *to(32)[1:]]
    return {"type": "MultiImageMixDataset", "dataset": {**reading, "pipeline": LOAD}, "pipeline": steps}


def repeated(dataset: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RepeatDataset", "times": 3, "dataset": dataset}


def side(data: DrawnDataset, number: int) -> int:
    return int(data[Draw(number % 12, number)]["inputs"].shape[-1])


@pytest.mark.parametrize("around", [lambda one: one, repeated], ids=["alone", "repeated"])
def test_a_pipeline_gives_way_to_another_one_with_a_draw(reading: dict[str, Any], around: Any) -> None:
    data = DrawnDataset(0, around(reading))
    data.full_init()
    switches = [(6, Switch(3, steps=LOAD + to(16))), (10, Switch(5, steps=LOAD + to(48)))]
    assert data.plan(switches, batch_size=2) == 0
    assert [side(data, number) for number in (0, 5, 6, 9, 10, 40)] == [32, 32, 16, 16, 48, 48]
    assert side(data, 2) == 32  # of another process, which is behind


def test_mixed_images_are_left_alone_from_a_draw_on(reading: dict[str, Any]) -> None:
    for around in (mixed, lambda one: repeated(mixed(one))):
        data = DrawnDataset(0, around(reading))
        data.full_init()
        data.plan([(4, Switch(2, skipped=("Mosaic",), adds_l1=True))], batch_size=2)
        assert [side(data, number) for number in (3, 4)] == [32, 64]


def test_the_steps_of_mixed_images_give_way(reading: dict[str, Any]) -> None:
    data = DrawnDataset(0, mixed(reading))
    data.full_init()
    data.plan([(4, Switch(2, steps=to(48)))], batch_size=2)
    assert [side(data, number) for number in (3, 4)] == [32, 48]


def test_a_repeated_image_is_another_draw(reading: dict[str, Any]) -> None:
    data = DrawnDataset(0, repeated(reading))
    data.full_init()
    assert len(data) == 36
    again = [data[Draw(index, number)]["inputs"] for index, number in ((5, 0), (17, 0), (5, 1), (5, 2), (5, 3))]
    assert (again[0] == again[1]).all()
    assert any((again[0] != other).any() for other in again[2:])  # flipped


def test_samplers_ask_for_sizes_and_classes(reading: dict[str, Any]) -> None:
    data = DrawnDataset(0, repeated(reading))
    data.full_init()
    assert data.get_data_info(13)["width"] == 64
    assert data.metainfo["classes"] == ("bright", "dark")
    with pytest.raises(AttributeError):
        _ = data.no_such_thing
