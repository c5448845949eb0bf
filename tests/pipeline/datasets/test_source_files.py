"""A change of the user's files is noticed wherever they are, and nothing else is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.source_files import SourceFiles, find_source_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "elsewhere"
    for name in ("train", "val", "test"):
        (root / name / "deep").mkdir(parents=True)
        (root / name / "a.png").write_bytes(b"pixels")
        (root / name / "deep/b.png").write_bytes(b"more pixels")
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/{name}.json").write_text("{}")
    return root


def found(root: Path, **changes: object) -> SourceFiles:
    split = CocoSplitSettings(annotations="annotations/test.json", images="test")
    custom = CocoDirSettings.model_validate({"root": root, "test": split, **changes})
    return find_source_files(DataSettings(name="coco_dir", coco_dir=custom))


def later(path: Path) -> None:
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "annotations": lambda root: (root / "annotations/val.json").write_text("{ }"),
    "an annotation file goes": lambda root: (root / "annotations/test.json").unlink(),
    "pixels of equal size": lambda root: later(root / "train/deep/b.png"),
    "size": lambda root: (root / "train/a.png").write_bytes(b"pixel"),
    "one more": lambda root: (root / "test/c.png").write_bytes(b""),
    "one less": lambda root: (root / "val/deep/b.png").unlink(),
    "another name": lambda root: (root / "val/a.png").rename(root / "val/c.png"),
    "a folder goes": lambda root: (root / "val").rename(root / "gone"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_linked", [False, True])
def test_a_change_is_noticed(root: Path, tmp_path: Path, change: str, is_linked: bool) -> None:
    seen = root
    if is_linked:
        seen = tmp_path / "project"
        seen.mkdir()
        for name in ("annotations", "train", "val", "test"):
            (seen / name).symlink_to(root / name)
    before = found(seen)
    assert found(seen) == before
    assert before.folders["train"] is not None
    assert before.folders["train"].files == 2
    CHANGES[change](root)
    assert found(seen) != before


def test_what_no_split_names_does_not_count(root: Path) -> None:
    before = found(root, test=None)
    (root / "test/c.png").write_bytes(b"")
    (root / "annotations/other.json").write_text("{}")
    later(root / "annotations/train.json")  # the content is what counts
    assert found(root, test=None) == before


def test_the_place_of_the_whole_does_not_count(root: Path) -> None:
    before = found(root)
    assert found(root.rename(root.with_name("moved"))) == before


def test_odd_names_and_links_in_circles_are_taken(root: Path) -> None:
    (root / "train/up").symlink_to(root / "train")
    (root / "train/nowhere").symlink_to(root / "nothing")
    (root / os.fsdecode(b"train/\xff.png")).write_bytes(b"")
    folder = found(root).folders["train"]
    assert folder is not None
    assert folder.files == 4


def test_an_embedded_data_set_has_none(root: Path) -> None:
    assert find_source_files(DataSettings(name="trees")) == SourceFiles(name="trees", annotations={}, folders={})


def with_heap(heap: Path | None, name: str = "digits") -> SourceFiles:
    return find_source_files(DataSettings.model_validate({"name": name, "unlabelled": heap}))


@pytest.mark.parametrize("name", ["digits", "coco_dir"])
def test_pictures_without_boxes_count_wherever_they_are(root: Path, tmp_path: Path, name: str) -> None:
    off, before = with_heap(None, name), with_heap(root / "train", name)
    assert off.unlabelled is None
    assert before == off.model_copy(update={"unlabelled": before.unlabelled})
    assert before.unlabelled is not None
    assert before.unlabelled.files == 2
    later(root / "train/deep/b.png")
    changed = with_heap(root / "train", name)
    assert changed != before
    (root / "train/c.png").write_bytes(b"")
    assert with_heap(root / "train", name) not in (before, changed)
    assert with_heap(tmp_path / "absent", name) == off
