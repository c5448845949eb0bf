import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.prediction.results import CocoFile, write_picture
from deploy.runtime.detections import Detections

CLASSES = ("crown", 'the "blob"')


def found(count: int) -> Detections:
    boxes = np.array([[2 * n, n, 2 * n + 10, n + 5] for n in range(count)], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(count, 0.5, np.float32), np.ones(count, np.int64), CLASSES)


def test_pycocotools_reads_the_file(tmp_path: Path, parts: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    image = np.zeros((20, 30, 3), np.uint8)
    with CocoFile(tmp_path / "x.json", CLASSES, parts) as results:
        for count in (2, 0, 3):
            results.add_image(image, found(count), file_name=f"{count}.png")
        results.videos.append({"id": 1})
    api = coco.COCO(str(tmp_path / "x.json"))
    assert [(i["id"], i["file_name"], i["width"], i["height"]) for i in api.loadImgs(api.getImgIds())] == [
        (1, "2.png", 30, 20),
        (2, "0.png", 30, 20),
        (3, "3.png", 30, 20),
    ]
    assert [api.getAnnIds(imgIds=number) for number in (1, 2, 3)] == [[1, 2], [], [3, 4, 5]]
    assert api.loadAnns(4)[0] == {
        "id": 4,
        "image_id": 3,
        "category_id": 2,
        "bbox": [2, 1, 10, 5],
        "area": 50,
        "score": 0.5,
        "iscrowd": 0,
    }
    assert api.loadCats(2) == [{"id": 2, "name": 'the "blob"'}]
    assert api.dataset["videos"] == [{"id": 1}]
    assert (results.images, results.annotations) == (3, 5)


def test_nothing_found_is_a_file_too(tmp_path: Path, parts: Path) -> None:
    with CocoFile(tmp_path / "x.json", CLASSES, parts):
        pass
    content = json.loads((tmp_path / "x.json").read_text())
    assert (content["images"], content["annotations"], "videos" in content) == ([], [], False)


def test_an_error_leaves_the_earlier_file_and_no_part(tmp_path: Path, parts: Path) -> None:
    (tmp_path / "x.json").write_text("earlier")
    with (
        pytest.raises(ValueError, match="as many category ids"),
        CocoFile(tmp_path / "x.json", CLASSES[:1], parts) as results,
    ):
        results.add_image(np.zeros((4, 4, 3), np.uint8), found(1))
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_text() == "earlier"


@pytest.mark.parametrize(
    ("size", "written"), [((3, 20_000), (3, 20_000)), ((1, 130_000), (1, 65_000)), ((130_000, 4), (65_000, 2))]
)
def test_a_picture_is_as_large_as_jpeg_can_be(
    tmp_path: Path, size: tuple[int, int], written: tuple[int, int], parts: Path
) -> None:
    write_picture(tmp_path / "x.jpg", np.full((*size, 3), 200, np.uint8), parts)
    picture = cv2.imread(str(tmp_path / "x.jpg"))
    assert picture.shape == (*written, 3)
    np.testing.assert_allclose(picture, 200, atol=2)
    assert [path.name for path in tmp_path.iterdir()] == ["x.jpg"]
