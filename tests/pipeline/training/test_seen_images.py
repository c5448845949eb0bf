import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import ConfigDict

from pipeline.errors import RecipeError
from pipeline.recipes import Recipe
from pipeline.records import DatasetRecord
from pipeline.training.seen_images import announce_seen_images, find_seen_images
from pipeline.training_records import SeenImages

COCO_FILTER = {"filter_empty_gt": True, "min_size": 32}


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., ConfigDict]:
    """An mmdet data set of 8 images: 6 without boxes, one of which is 30 px high, as is one of the two with boxes."""
    images = [
        {"id": number, "file_name": f"{number}.png", "width": 256, "height": 30 if number in (2, 8) else 256}
        for number in range(1, 9)
    ]
    boxes = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 2, 20, 20], "area": 400, "iscrowd": 0}
        for number in (1, 2)
    ]
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}]}))
    base = {"type": "CocoDataset", "ann_file": str(path), "data_prefix": {"img": ""}, "metainfo": {"classes": ("a",)}}
    return lambda **more: ConfigDict({**base, "pipeline": [{"type": "LoadImageFromFile"}], **more})


@pytest.mark.parametrize(
    ("more", "seen", "left_out"),
    [
        ({}, 8, {}),
        ({"filter_cfg": None}, 8, {}),
        ({"filter_cfg": {"filter_empty_gt": False}}, 8, {}),
        ({"filter_cfg": {"filter_empty_gt": True}}, 2, {"filter_cfg.filter_empty_gt=True": 6}),
        ({"filter_cfg": COCO_FILTER}, 1, {"filter_cfg.filter_empty_gt=True": 6, "filter_cfg.min_size=32": 2}),
        ({"filter_cfg": {"min_size": 300}}, 0, {"filter_cfg.min_size=300": 8}),
        ({"filter_cfg": COCO_FILTER, "test_mode": True}, 8, {}),
        ({"indices": 3}, 3, {"indices": 5}),
        ({"indices": [0, 5]}, 2, {"indices": 6}),
        ({"indices": 30}, 8, {}),
        ({"indices": -3}, 3, {"indices": 5}),
    ],
)
def test_images_are_counted_as_mmdet_leaves_them_out(
    config: Callable[..., ConfigDict], more: dict[str, object], seen: int, left_out: dict[str, int]
) -> None:
    images, found = find_seen_images(config(**more))
    assert len(images) == seen
    assert found == SeenImages(seen=seen, images=8, left_out=left_out)
    if seen and "indices" not in more:
        arguments = {key: value for key, value in config(**more).items() if key != "type"}
        assert len(CocoDataset(**arguments | {"pipeline": []})) == seen


def test_images_of_a_wrapped_data_set_are_counted_once(config: Callable[..., ConfigDict]) -> None:
    repeated = {"type": "RepeatDataset", "times": 3, "dataset": config(filter_cfg=COCO_FILTER)}
    mixed = {"type": "MultiImageMixDataset", "dataset": repeated, "pipeline": [{"type": "PackDetInputs"}]}
    images, found = find_seen_images(mixed)
    left_out = {"filter_cfg.filter_empty_gt=True": 6, "filter_cfg.min_size=32": 2}
    assert (len(images), found) == (1, SeenImages(seen=1, images=8, left_out=left_out))


def test_what_is_left_out_of_a_wrapped_data_set_is_told_by_its_key(
    squares: tuple[DatasetRecord, Path], make_recipe: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe("twin")
    inner = {**recipe.config.train_dataloader.dataset, "filter_cfg": {"filter_empty_gt": True}}
    recipe.config.train_dataloader.dataset = {"type": "RepeatDataset", "times": 2, "dataset": inner}
    with caplog.at_level(logging.WARNING):
        announce_seen_images(recipe, *squares)
    assert "`train_dataloader.dataset.dataset.filter_cfg.filter_empty_gt: false`" in caplog.text


def test_what_is_left_out_is_said_with_the_option_and_its_cure(
    squares: tuple[DatasetRecord, Path], make_recipe: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe("twin", **{"train_dataloader.dataset.filter_cfg.filter_empty_gt": True})
    with caplog.at_level(logging.WARNING):
        found = announce_seen_images(recipe, *squares)
    assert found == SeenImages(seen=11, images=12, left_out={"filter_cfg.filter_empty_gt=True": 1})
    (message,) = caplog.messages
    assert message == (
        "twin: training sees 11 of 12 images; train_dataloader.dataset leaves out 1 by "
        "filter_cfg.filter_empty_gt=True; override it under `options` in params.yaml, such as "
        "`train_dataloader.dataset.filter_cfg.filter_empty_gt: false`, to train on them"
    )


def test_nothing_is_said_where_all_images_are_seen(
    squares: tuple[DatasetRecord, Path], make_recipe: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        announce_seen_images(make_recipe("twin"), *squares)
    assert caplog.messages == []


def test_a_recipe_that_leaves_out_every_image_is_refused(
    squares: tuple[DatasetRecord, Path], make_recipe: Callable[..., Recipe]
) -> None:
    recipe = make_recipe("twin", **{"train_dataloader.dataset.filter_cfg": {"filter_empty_gt": True, "min_size": 65}})
    with pytest.raises(RecipeError, match=r"sees 0 of 12 images; .* 12 by filter_cfg\.min_size=65; .*filter_cfg"):
        announce_seen_images(recipe, *squares)
