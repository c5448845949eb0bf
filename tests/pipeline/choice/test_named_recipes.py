"""Recipes that are named: the folder is looked at as without them, and methods and teacher are plain settings."""

from pathlib import Path

import pytest

from pipeline.choice.__main__ import main
from pipeline.choice.named_recipes import suited_recipes, with_methods, with_teacher
from pipeline.choice.own_data import DataFacts, Suited, suited
from pipeline.choice.own_model import own_teacher
from pipeline.choice.recipes import Budget
from pipeline.choice.written_recipes import recipes_written
from pipeline.errors import RecipeError, SettingsError
from pipeline.recipes import read_recipe
from pipeline.settings import PARAMS_FILE, load_params
from tests.pipeline.choice.plain_files import plain, written
from tests.pipeline.choice.test_own_data import facts
from tests.pipeline.datasets.yolo_folder import YoloFolder

STUDENTS = Path("configs/students")
EMBEDDED = STUDENTS / "crosskd_gfl_mobilenetv2_r18w16_embedded.py"
FACTS: DataFacts = facts([50.0] * 9)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are written, and pictures prepared, outside the project; nothing is fetched."""
    monkeypatch.setattr("pipeline.choice.own_model.STUDENTS", tmp_path / "students")
    monkeypatch.setattr("pipeline.choice.own_model.TEACHERS", tmp_path / "teachers")
    monkeypatch.setattr("pipeline.choice.__main__.CHOICE", tmp_path / "choice")
    monkeypatch.setattr("pipeline.choice.__main__.fetch_backbones", lambda recipes: None)
    monkeypatch.setattr("pipeline.choice.__main__.starting_point", lambda teacher: None)


def by_methods(suits: Suited, *methods: str) -> Suited:
    return with_methods(suits, methods, own_teacher(suits.teacher), FACTS)


def test_a_recipe_says_all_but_the_data_itself() -> None:
    assert suited_recipes([EMBEDDED]) == Suited(
        model="gfl_r18w16_embedded",
        recipes=[EMBEDDED],
        teacher=Path("configs/teachers/gfl_mobilenetv2_embedded.py"),
        size=None,
        budget=Budget(),
        teacher_budget=Budget(),
    )
    with pytest.raises(RecipeError, match="choose a distilled recipe"):
        suited_recipes([STUDENTS / "twin_gfl_n_own.py"])


def test_methods_of_a_recipe_are_the_recipes_beside_it() -> None:
    found = by_methods(suited_recipes([EMBEDDED]), "cskd", "crosskd")
    assert found.recipes == [STUDENTS / "cskd_gfl_mobilenetv2_r18w16_embedded.py", EMBEDDED]
    assert found.files == {}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("size", ["n", "s", "m"])
def test_every_size_has_recipes_of_three_methods(device: str, size: str) -> None:
    found = by_methods(suited(FACTS, device, size), "crosskd", "crosskd_pkd", "cskd")
    assert [path.name for path in found.recipes] == [
        f"{method}_gfl_{size}_own.py" for method in ("crosskd", "crosskd_pkd", "cskd")
    ]
    assert found.files == {}


def test_a_method_without_a_recipe_has_one_written(tmp_path: Path) -> None:
    found = by_methods(suited_recipes([EMBEDDED]), "pkd", "crosskd")
    path = tmp_path / "students/pkd_gfl_r18w16_embedded.py"
    assert (found.recipes, [*found.files]) == ([path, EMBEDDED], [path])
    with recipes_written(found.files):
        config = read_recipe(path)
    assert (config.twin, config.teacher) == (str(STUDENTS / "twin_gfl_r18w16_embedded.py"), str(found.teacher))
    assert [method.type for method in config.distillation.methods] == ["PKD"]


def test_a_recipe_called_after_another_method_is_not_taken_for_it(tmp_path: Path) -> None:
    recipes = tmp_path / "recipes"
    first = written(recipes / "crosskd_mine.py", f"_base_ = {str(EMBEDDED.resolve())!r}\n")
    other = f"_base_ = {str(EMBEDDED.resolve())!r}\ntwin = 'configs/students/twin_gfl_n_own.py'\n"
    written(recipes / "pkd_mine.py", other)
    assert by_methods(suited_recipes([first]), "pkd").recipes == [tmp_path / "students/pkd_gfl_r18w16_embedded.py"]


def test_what_is_no_method_is_named() -> None:
    with pytest.raises(SettingsError, match=r"METHODS=crossk: no method.* mean 'crosskd'"):
        by_methods(suited_recipes([EMBEDDED]), "crossk")


def test_another_teacher_takes_the_place_of_the_recipes_own(tmp_path: Path) -> None:
    suits = suited_recipes([EMBEDDED])
    ours = with_teacher(suits, own_teacher(Path("configs/teachers/gfl_mobilenetv2_own.py")), FACTS)
    assert (ours.teacher.name, ours.teacher_budget, ours.files) == ("gfl_mobilenetv2_own.py", Budget(), {})
    plain_one = written(tmp_path / "larger.py", plain("GFL", "train_cfg = dict(max_epochs=24)"))
    own = with_teacher(suits, own_teacher(plain_one), FACTS)
    assert (own.teacher, own.teacher_budget) == (tmp_path / "teachers/larger.py", Budget(24))
    assert [*own.files] == [own.teacher]


def test_one_command_looks_at_a_folder_for_recipes_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    root, target = YoloFolder(tmp_path / "own").write().root, tmp_path / "params.yaml"
    target.write_text(PARAMS_FILE.read_text())
    settings = ["--size", "64", "--epochs", "3", "--batch", "2", "--methods", "crosskd", "pkd"]
    main([str(EMBEDDED), "--data", str(root), "--params", str(target), *settings])
    params = load_params(target)
    assert (params.data.name, params.input_size, params.train.epochs) == ("yolo_dir", (64, 64), 3)
    assert (params.teacher.train.epochs, params.teacher.train.batch_size) == (3, 2)
    assert list(params.trained) == ["twin", "crosskd", "pkd"]
    for line in (
        "found: train 2, val 2, test 2 images; 2 classes (big cat, dog); 3 boxes in train",
        "student: gfl_r18w16_embedded, configs/students/twin_gfl_r18w16_embedded.py, from random weights (MODEL=)",
        "training: 3 epochs, 3 iterations of 2 images (EPOCHS=, BATCH=)",
        "set here: size, epochs, batch; the learning rate goes with the batch",
        "time: about 1 min of training here (cpu, threads:",
    ):
        assert line in caplog.text


def test_recipes_are_held_against_each_other_before_the_data_is_read(tmp_path: Path) -> None:
    root, target = YoloFolder(tmp_path / "own").write().root, tmp_path / "params.yaml"
    (root / "labels/train/a.txt").write_text("9 0.5 0.5 0.25 0.5\n")
    target.write_text(PARAMS_FILE.read_text())
    with pytest.raises(SystemExit, match="use them one after the other"):
        main([str(EMBEDDED), "configs/students/crosskd_gfl_n_own.py", "--data", str(root), "--params", str(target)])
    with pytest.raises(SystemExit, match=r"a\.txt"):
        main([str(EMBEDDED), "--data", str(root), "--params", str(target)])
    assert target.read_text() == PARAMS_FILE.read_text()
