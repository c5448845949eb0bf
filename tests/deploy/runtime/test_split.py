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


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"images": []}', "7"])
def test_what_is_no_split_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "test.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtefactError, match=r"test\.json: no split of a prepared data set .*dvc repro data"):
        Split.read(path)
