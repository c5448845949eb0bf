"""What trainings start from, with sources that are there and that are not."""

import hashlib
from pathlib import Path

import pytest

from pipeline.choice.starting_point import fetch_backbones, starting_point
from pipeline.errors import CheckpointError, RecipeError


def weights(path: Path) -> str:
    path.write_bytes(path.name.encode())
    return f"dict(sha256={hashlib.sha256(path.read_bytes()).hexdigest()!r}, sources=[{str(path)!r}]"


def recipe(folder: Path, coco: bool, backbone: bool) -> Path:
    """A configuration whose files of weights are there, or not."""
    sections = {"checkpoint": weights(folder / "coco.pth") + ")"}
    sections["backbone_weights"] = weights(folder / "backbone.pth") + ", layout='torchvision_resnet')"
    for name, is_there in (("coco.pth", coco), ("backbone.pth", backbone)):
        if not is_there:
            (folder / name).unlink()
    path = folder / "teacher.py"
    path.write_text("".join(f"{key} = {value}\n" for key, value in sections.items()))
    return path


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.choice.starting_point.CACHE", tmp_path / "cache")


def test_published_weights_come_first(tmp_path: Path) -> None:
    found = starting_point(recipe(tmp_path, coco=True, backbone=False))
    assert found is not None
    assert found["sources"] == [str(tmp_path / "coco.pth")]


def test_imagenet_weights_come_second(tmp_path: Path) -> None:
    assert starting_point(recipe(tmp_path, coco=False, backbone=True)) is None


def test_where_neither_can_be_had_both_are_named(tmp_path: Path) -> None:
    path = recipe(tmp_path, coco=False, backbone=False)
    with pytest.raises(CheckpointError, match=r"neither its COCO weights:(.|\n)*coco\.pth(.|\n)*backbone\.pth"):
        starting_point(path)
    with pytest.raises(CheckpointError, match=r"teacher\.py: no source gave(.|\n)*backbone\.pth"):
        fetch_backbones([path])


def test_a_network_from_scratch_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "scratch.py").write_text("model = dict()\n")
    assert starting_point(tmp_path / "scratch.py") is None
    fetch_backbones([tmp_path / "scratch.py"])


def test_load_from_is_fetched_in_the_place_of_the_backbone(tmp_path: Path) -> None:
    path = recipe(tmp_path, coco=False, backbone=False)
    text = path.read_text().replace("checkpoint =", "_unused =")
    (tmp_path / "mine.pth").write_bytes(b"mine")
    path.write_text(f"{text}load_from = {str(tmp_path / 'mine.pth')!r}\n")
    assert starting_point(path) is None
    fetch_backbones([path])
    (tmp_path / "mine.pth").unlink()
    with pytest.raises(RecipeError, match=r"teacher\.py: load_from = .*: No such file"):
        fetch_backbones([path])
