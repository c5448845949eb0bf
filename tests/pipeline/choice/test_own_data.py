"""What suits a folder: rules on facts, and the command on a real folder."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.choice.__main__ import main
from pipeline.choice.own_data import DataFacts, facts_of, suited, suited_epochs, suited_size, times_wider
from pipeline.datasets.folder_format import detect
from pipeline.datasets.preparation import prepare
from pipeline.errors import SettingsError
from pipeline.settings import PARAMS_FILE, load_params
from tests.pipeline.datasets.yolo_folder import YoloFolder


def facts(sides: list[float], longer_side: int = 1000, train: int = 80) -> DataFacts:
    return DataFacts({"train": train, "val": 20}, ("a",), len(sides), np.array(sides) / longer_side, longer_side)


@pytest.mark.parametrize(
    ("side", "longer_side", "largest", "size"),
    [
        (200, 1000, 640, 256),  # large boxes: the smallest canvas
        (40, 1000, 640, 416),  # 40 px of 1000 are 16.6 px of 416
        (40, 1000, 320, 320),  # what the machine takes
        (5, 1000, 640, 640),
        (5, 500, 640, 512),  # no larger than the pictures
        (5, 100, 640, 256),
    ],
)
def test_the_canvas_is_the_smallest_on_which_boxes_are_seen(
    side: float, longer_side: int, largest: int, size: int
) -> None:
    assert suited_size(facts([side] * 20, longer_side), largest) == size


def test_a_tenth_of_the_boxes_may_be_smaller() -> None:
    assert suited_size(facts([2.0] + [100.0] * 19), 640) == 256
    assert suited_size(facts([2.0] * 5 + [100.0] * 15), 640) == 640


def test_a_data_set_without_boxes_gets_the_largest_canvas() -> None:
    assert suited_size(facts([]), 640) == 640


@pytest.mark.parametrize(("images", "epochs"), [(8, 300), (80, 150), (1200, 12), (100_000, 12)])
def test_epochs_come_to_about_as_many_iterations(images: int, epochs: int) -> None:
    assert suited_epochs(images, 8, 1500) == epochs


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("model", [None, "n", "s", "m"])
def test_every_choice_names_files_that_are_there(device: str, model: str | None) -> None:
    found = suited(facts([50.0] * 9), device, model)
    assert all(path.is_file() for path in (*found.recipes, found.teacher))
    assert len(found.recipes) == 1
    assert found.model == (model or ("n" if device == "cpu" else "s"))


def test_a_size_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="MODEL=xl: no size"):
        suited(facts([]), "cpu", "xl")


@pytest.mark.parametrize(("images", "times"), [(16, 5.0), (100, 2.0), (400, 1.0), (5000, 1.0)])
def test_few_pictures_are_held_to_wider_limits(images: int, times: float) -> None:
    assert times_wider(DataFacts({"train": 80, "val": images}, ("a",), 0, np.array([]), 100)) == times


def test_facts_are_those_of_the_pictures(tmp_path: Path) -> None:
    root = YoloFolder(tmp_path / "own").write().root
    found = facts_of(prepare(detect(root), tmp_path / "prepared"), tmp_path / "prepared")
    assert found.images == {"train": 2, "val": 2, "test": 2}
    assert (found.classes, found.boxes, found.longer_side) == (("big cat", "dog"), 3, 40)
    # 10 x 15, 8 x 12 and 40 x 30 px of 40.
    np.testing.assert_allclose(sorted(found.box_shares), np.sqrt([96, 150, 1200]) / 40, rtol=1e-4)


@pytest.fixture
def without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched is not of these tests (``test_starting_point.py``), and steps are measured on random weights."""
    monkeypatch.setattr("pipeline.choice.__main__.CHOICE", tmp_path / "choice")
    monkeypatch.setattr("pipeline.choice.__main__.fetch_backbones", lambda recipes: None)
    monkeypatch.setattr("pipeline.choice.__main__.starting_point", lambda teacher: None)


@pytest.mark.usefixtures("without_network")
def test_one_command_writes_what_suits_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    root, target = YoloFolder(tmp_path / "own").write().root, tmp_path / "params.yaml"
    target.write_text(PARAMS_FILE.read_text().replace("labelled_share: 1.0", "labelled_share: 0.5"))
    heap = tmp_path / "a heap"
    heap.mkdir()
    cv2.imwrite(str(heap / "a.png"), np.random.default_rng(99).integers(0, 256, (30, 40, 3), np.uint8))
    wishes = ["--size", "64x96", "--batch", "2", "--model", "n", "--unlabelled", str(heap)]
    main(["--data", str(root), "--params", str(target), *wishes])
    params = load_params(target)
    assert (params.data.unlabelled, params.data.labelled_share) == (heap, 0.5)
    assert (params.data.name, params.input_size) == ("yolo_dir", (64, 96))
    assert (params.train.epochs, params.train.batch_size) == (300, 2)
    assert params.teacher.train.epochs == 300
    assert list(params.trained) == ["twin", "crosskd"]
    assert params.gates.benchmark_max_map_drop["bf16"] == 2.83
    said = caplog.text
    assert re.search(r"found: train 1, val 2, test 2 images; 2 classes \(big cat, dog\); [12] boxes in train", said)
    assert "without boxes: 2 pictures more, which the teacher labels for the students; the twin does without" in said
    assert [student.unlabelled for student in params.trained.values()] == [None, 1.0]
    assert "input size: 64x96, where nine boxes of ten are larger than" in said
    assert "training: 300 epochs, 300 iterations of 2 images (EPOCHS=, BATCH=)" in said
    assert re.search(
        r"time: .* of training here \(.*\); teacher .* s a step\); students .*: twin .*, crosskd .* step\)", said
    )
    assert (
        "of the recipe: AdamW at 0.001, schedule, augmentation, losses, thresholds (score 0.05 and NMS 0.6); " in said
    )
    assert "set here: size, epochs, batch; the learning rate goes with the batch" in said
    assert "next: make repro" in said


@pytest.mark.usefixtures("without_network")
def test_a_wrong_wish_changes_nothing(tmp_path: Path) -> None:
    root, target = YoloFolder(tmp_path / "own").write().root, tmp_path / "params.yaml"
    target.write_text(PARAMS_FILE.read_text())
    with pytest.raises(SystemExit, match=r"input_size is \[50, 50\], and the network takes multiples of 32"):
        main(["--data", str(root), "--params", str(target), "--size", "50"])
    assert target.read_text() == PARAMS_FILE.read_text()


def test_a_size_beside_recipes_is_a_matter_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["configs/students/crosskd_gfl_n_own.py", "--model", "n"])
    assert ended.value.code == 2
    assert "chooses recipes, and recipes are named" in capsys.readouterr().err
