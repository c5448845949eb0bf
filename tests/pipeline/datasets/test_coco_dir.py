import logging
from pathlib import Path

import pytest

from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.coco_dir import make


def warnings_of(root: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    listed = {
        name: CocoSplitSettings(annotations=f"annotations/{name}.json", images=f"images/{name}")
        for name in ("train", "val")
    }
    with caplog.at_level(logging.WARNING):
        make(DataSettings(name="coco_dir", coco_dir=CocoDirSettings(root=root, **listed)), Path(), Path())
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
