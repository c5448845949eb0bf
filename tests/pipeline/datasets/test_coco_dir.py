import math
import os
from pathlib import Path

import pytest

from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.coco_dir import make
from pipeline.datasets.findings import Finding
from pipeline.datasets.preparation import prepare


def findings_of(root: Path, **options: str) -> list[Finding]:
    listed = {
        name: CocoSplitSettings(annotations=f"annotations/{name}.json", images=f"images/{name}")
        for name in ("train", "val")
    }
    custom = CocoDirSettings(root=root, **listed, **options)
    return make(DataSettings(name="coco_dir", coco_dir=custom), Path(), Path()).findings


@pytest.mark.parametrize(
    ("value", "expected"),
    [(10**400, ["annotation 1"]), (0, ["annotation 1", "annotation 2"]), (math.inf, []), (math.nan, [])],
)
def test_boxes_are_dropped_for_their_size_whatever_else_stands_in_them(coco_folder, value, expected):
    folder = coco_folder()
    folder.splits["train"]["annotations"][0]["bbox"] = [value, 2, 3, 0]
    folder.splits["train"]["annotations"][1]["bbox"] = [1, 2, value, 4]
    dropped = [finding.item for finding in findings_of(folder.write().root, boxes_without_area="drop")]
    assert dropped == expected


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "[" * 100_000 + "]" * 100_000])
def test_json_that_python_does_not_read_is_a_finding(coco_folder, text):
    folder = coco_folder().write()
    (folder.root / "annotations" / "train.json").write_text(text)
    assert [(f.severity, f.item) for f in findings_of(folder.root)] == [("error", "whole file")]


def test_a_pipe_for_annotations_is_a_finding(coco_folder):
    folder = coco_folder().write()
    (folder.root / "annotations" / "train.json").unlink()
    os.mkfifo(folder.root / "annotations" / "train.json")
    (finding,) = findings_of(folder.root)
    assert "cannot be read: a named pipe (FIFO), not a regular file" in finding.message


def test_the_phantom_of_an_export_is_asked_about_and_dropped(coco_folder, tmp_path):
    folder = coco_folder()
    for content in folder.splits.values():
        for category in content["categories"]:
            category["supercategory"] = "pets"
        content["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
    folder.write()
    (finding,) = findings_of(folder.root)
    assert (finding.severity, finding.file) == ("error", str(folder.root / "annotations/train.json"))
    assert "`data.coco_dir.unused_categories: keep`, or `drop`" in finding.message
    assert findings_of(folder.root, unused_categories="keep") == []
    listed = {
        name: CocoSplitSettings(annotations=f"annotations/{name}.json", images=f"images/{name}")
        for name in ("train", "val")
    }
    for setting, classes in (("keep", ["pets", "cat", "dog"]), ("drop", ["cat", "dog"])):
        custom = CocoDirSettings(root=folder.root, unused_categories=setting, **listed)
        record = prepare(DataSettings(name="coco_dir", coco_dir=custom), tmp_path / "out", tmp_path)
        assert record.classes == classes
        assert record.splits["train"].boxes == 3
