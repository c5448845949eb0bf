import logging
import math
import os
from pathlib import Path

import pytest

from pipeline.datasets.coco_dir import make
from pipeline.records import Finding
from pipeline.settings import CocoDirSettings, CocoSplitSettings, DataSettings


def findings_of(root: Path, **options: str) -> list[Finding]:
    listed = {
        name: CocoSplitSettings(annotations=f"annotations/{name}.json", images=f"images/{name}")
        for name in ("train", "val")
    }
    custom = CocoDirSettings(root=root, **listed, **options)
    return make(DataSettings(name="coco_dir", coco_dir=custom), Path(), Path()).findings


def warnings_of(root: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        findings_of(root)
    return caplog.messages


def test_data_that_dvc_does_not_watch_is_named(coco_folder, tmp_path, monkeypatch, caplog):
    outside = coco_folder().write().root
    project = tmp_path / "project"
    (project / "datasets").mkdir(parents=True)
    monkeypatch.chdir(project)
    (project / "datasets" / "custom").symlink_to(outside)
    for root in (Path("datasets/custom"), outside):
        (message,) = warnings_of(root, caplog)
        assert f"{root / 'annotations/train.json'}, {root / 'images/train'}, {root / 'annotations/val.json'}" in message
        assert message.endswith("after a change there run `dvc repro --force data`")


def test_one_linked_image_folder_is_named_alone(coco_folder, tmp_path, monkeypatch, caplog):
    outside = coco_folder().write().root
    project = tmp_path / "project"
    (project / "datasets").mkdir(parents=True)
    monkeypatch.chdir(project)
    outside.rename(project / "datasets" / "own")
    assert warnings_of(Path("datasets/own"), caplog) == []
    images = project / "datasets" / "own" / "images" / "val"
    images.rename(tmp_path / "val")
    images.symlink_to(tmp_path / "val")
    (message,) = warnings_of(Path("datasets/own"), caplog)
    assert message.startswith("`dvc repro` does not notice changes in datasets/own/images/val: they lie outside")


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
