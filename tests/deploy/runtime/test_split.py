import json
from pathlib import Path

import pytest

from deploy.runtime.errors import ArtefactError
from deploy.runtime.split import Split


def test_the_lists_come_in_the_order_of_the_file(dataset_dir: Path) -> None:
    path = dataset_dir / "test.json"
    content = json.loads(path.read_text())
    split = Split.read(path)
    assert (split.images, split.categories) == (content["images"], content["categories"])
    assert split.annotations == content["annotations"]
    assert split.files == [image["file_name"] for image in content["images"]]


def test_some_images_are_evenly_spaced_and_come_with_their_boxes() -> None:
    images = [{"id": 10 + number, "file_name": f"{number}.png"} for number in range(7)]
    boxes = [{"image_id": 10 + number % 7, "category_id": 1, "bbox": [number, 0, 1, 1]} for number in range(14)]
    split = Split(images, [{"id": 1, "name": "a"}], boxes)
    some = split.spaced(3)
    assert some.files == ["0.png", "2.png", "4.png"]
    assert [box["bbox"][0] for box in some.annotations] == [0, 2, 4, 7, 9, 11]
    assert some.categories == split.categories
    for count in (None, 7, 100):
        assert split.spaced(count) is split
    assert Split([], [], []).spaced(3).files == []


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"images": []}', "7", "[" * 100_000])
def test_what_is_no_split_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "test.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtefactError, match=r"test\.json: no split of a prepared data set .*dvc repro data"):
        Split.read(path)


VALID = {
    "images": [{"id": 1, "file_name": "1.png", "width": 10, "height": 10}],
    "categories": [{"id": 1, "name": "a"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}],
}
STRANGE = [None, True, [], {}, [1], 10**400, float("nan"), float("inf"), [0, 0, 5], [0, 0, 5, -1], [0, 0, 5, None]]
PLACES = [(name, key) for name, [entry] in VALID.items() for key in entry if (name, key) != ("annotations", "id")]


@pytest.mark.parametrize(("name", "key"), PLACES)
@pytest.mark.parametrize("value", STRANGE, ids=range(len(STRANGE)))
def test_a_value_of_another_kind_is_named_with_its_place(tmp_path: Path, name: str, key: str, value: object) -> None:
    path = tmp_path / "test.json"
    content = {**VALID, name: [{**VALID[name][0], key: value}]}
    path.write_text(json.dumps(content))
    with pytest.raises(ArtefactError, match=rf"test\.json: no split .*{name}\[0\]\.{key} must be .*dvc repro data"):
        Split.read(path)


@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize("value", [None, 3, "ab", {}, [None], [[]], ["ab"], [{}]], ids=str)
def test_a_list_of_something_else_is_named(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**VALID, name: value}))
    with pytest.raises(ArtefactError, match=rf"no split .*{name}.*dvc repro data"):
        Split.read(path)


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_a_box_of_something_that_is_not_there_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**VALID, "annotations": [{**VALID["annotations"][0], key: 7}]}))
    with pytest.raises(ArtefactError, match=rf"annotations\[0\]\.{key} 7 is none of"):
        Split.read(path)
