"""A detector of the user's own: from a plain configuration to recipes, params and what is said of it."""

from pathlib import Path

import pytest

from pipeline.choice.__main__ import main
from pipeline.choice.own_data import Suited, facts_of
from pipeline.choice.own_model import own_teacher, own_twin, suited_own, usual_teacher
from pipeline.choice.recipes import Budget
from pipeline.choice.written_recipes import recipes_written
from pipeline.datasets.folder_format import detect
from pipeline.datasets.preparation import prepare
from pipeline.errors import RecipeError
from pipeline.recipes import read_recipe
from pipeline.settings import PARAMS_FILE, load_params
from tests.pipeline.choice.plain_files import FASTER_RCNN, plain, written
from tests.pipeline.datasets.yolo_folder import YoloFolder

OWN_TEACHER = Path("configs/teachers/gfl_mobilenetv2_own.py")
SMALL = "train_cfg = dict(max_epochs=30)\ntrain_dataloader = dict(batch_size=1)"
LARGER = "train_cfg = dict(max_epochs=24)\nload_from = 'https://host/larger-0123abcd.pth'"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are written, and pictures prepared, outside the project; nothing is fetched."""
    monkeypatch.setattr("pipeline.choice.own_model.STUDENTS", tmp_path / "students")
    monkeypatch.setattr("pipeline.choice.own_model.TEACHERS", tmp_path / "teachers")
    monkeypatch.setattr("pipeline.choice.__main__.CHOICE", tmp_path / "choice")
    monkeypatch.setattr("pipeline.choice.__main__.fetch_backbones", lambda recipes: None)
    monkeypatch.setattr("pipeline.choice.__main__.starting_point", lambda teacher: None)


def chosen(folder: Path, *more: str) -> Path:
    """The params that the command writes for the embedded ones and a folder."""
    root, target = folder / "data", folder / "params.yaml"
    if not root.exists():
        YoloFolder(root).write()
    target.write_text(PARAMS_FILE.read_text())
    main(["--data", str(root), "--params", str(target), *more])
    return target


def suited(folder: Path, model: Path, teacher: Path | None = None, methods: tuple[str, ...] = ()) -> Suited:
    root = YoloFolder(folder / "data").write().root
    facts = facts_of(prepare(detect(root), folder / "prepared"), folder / "prepared")
    return suited_own(model, teacher, methods, facts, "cpu")


def test_one_command_takes_plain_configurations(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    mine = written(tmp_path / "elsewhere/My GFL.py", plain("GFL", SMALL, width=64))
    larger = written(tmp_path / "larger.py", plain("GFL", LARGER, width=64, convs=3))
    params = load_params(chosen(tmp_path, "--model", str(mine), "--teacher", str(larger), "--size", "64x96"))
    twin = tmp_path / "students/twin_my_gfl.py"
    recipes = {name: student.recipe for name, student in params.trained.items()}
    assert recipes == {"twin": twin, "crosskd": tmp_path / "students/crosskd_my_gfl.py"}
    assert (params.teacher.config, params.input_size) == (tmp_path / "teachers/larger.py", (64, 96))
    # Each has the schedule of its own file.
    assert (params.train.epochs, params.train.batch_size, params.teacher.train.epochs) == (30, None, 24)
    assert params.export.nms_iou_threshold == 0.6
    assert read_recipe(twin).model.bbox_head.feat_channels == 64
    distilled = read_recipe(recipes["crosskd"])
    assert (distilled.teacher, distilled.twin) == (str(params.teacher.config), str(twin))
    for said in (
        f"{twin} is written from {mine}, which is not read again",
        "taken: model, input_size, optim_wrapper",
        "otherwise: num_classes: the data set's",
        "learning rate: 0.01 is taken for the 1 images of a step, as auto_scale_lr is off; where it is for 16",
        "warm-up: 500 iterations become 12, a fifth of the training on 2 images",
        f"{params.teacher.config} is written from {larger}",
        "training: 30 epochs, 60 iterations of 1 images (EPOCHS=, BATCH=)",
        "student: my_gfl, ",
    ):
        assert said in caplog.text


def test_a_file_that_is_written_again_keeps_the_users_edits(tmp_path: Path) -> None:
    mine = written(tmp_path / "mine.py", plain("GFL", SMALL))
    with recipes_written(own_twin(mine).files):
        pass
    written(mine, plain("GFL", SMALL.replace("30", "31")))
    found = own_twin(mine)
    with recipes_written(found.files):
        assert read_recipe(found.path).train_cfg.max_epochs == 31
    found.path.write_text(found.path.read_text().replace("max_epochs=31", "max_epochs=40"))
    with (
        pytest.raises(RecipeError, match=r"twin_mine\.py is yours.* \(MODEL=.*twin_mine\.py"),
        recipes_written(found.files),
    ):
        pass
    # As the message says: the edited recipe is the student now.
    again = own_twin(found.path)
    assert (again.path, again.name, again.files, again.budget(Budget(9))) == (found.path, "mine", {}, Budget(40))


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    mine = written(tmp_path / "mine.py", plain("GFL", SMALL))
    with pytest.raises(SystemExit, match=r"input_size is \[50, 50\]"):
        chosen(tmp_path, "--model", str(mine), "--teacher", str(mine), "--size", "50")
    assert [*tmp_path.glob("*s/*.py")] == []
    assert (tmp_path / "params.yaml").read_text() == PARAMS_FILE.read_text()


def test_the_size_is_that_of_its_test_pipeline_and_a_plain_teacher_has_its_own_length(tmp_path: Path) -> None:
    mine = written(tmp_path / "mine.py", plain("RetinaNet"))
    other = written(tmp_path / "large.py", plain("RetinaNet", "train_cfg = dict(max_epochs=24)", width=64, convs=4))
    found = suited(tmp_path, mine, other, ("crosskd",))
    assert (found.size, found.budget, found.teacher_budget) == ((800, 1344), Budget(12), Budget(24))
    assert found.teacher == tmp_path / "teachers/large.py"
    assert [path.name for path in found.files] == ["large.py", "twin_mine.py", "crosskd_mine.py"]
    assert 'dict(type="CrossKD", reused_head_index=1, adapter=True)' in found.files[found.recipes[0]]


def test_a_model_alone_gets_size_and_length_by_the_pictures(tmp_path: Path) -> None:
    model = read_recipe(written(tmp_path / "whole.py", plain("GFL"))).model.to_dict()
    mine = written(tmp_path / "mine.py", f"model = {model!r}\n")
    found = suited(tmp_path, mine, mine)
    assert (found.size, found.budget) == ((256, 256), Budget(300))
    assert "configs/_base_/data_own.py" in found.files[tmp_path / "students/twin_mine.py"]


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        (plain("RetinaNet"), "retinanet_r101_2x_coco.py, configs/teachers/retinanet_r50_1x_coco.py, .*swint"),
        (plain("FCOS"), "fcos_giou_r101_2x_ms_coco.py, configs/teachers/fcos_giou"),
        (FASTER_RCNN, "faster_rcnn_r101_2x_coco.py, configs/teachers/faster_rcnn_r50_2x_coco.py, or"),
    ],
)
def test_a_family_without_a_teacher_of_own_data_names_those_that_there_are(
    tmp_path: Path, text: str, fitting: str
) -> None:
    twin = own_twin(written(tmp_path / "mine.py", text))
    with pytest.raises(RecipeError, match=rf"mine\.py: .*TEACHER=: configs/teachers/{fitting}"):
        usual_teacher(twin, OWN_TEACHER, classes=2)


def test_a_pair_that_does_not_fit_is_named_by_both_files(tmp_path: Path) -> None:
    mine = written(tmp_path / "mine.py", plain("GFL"))
    message = r"METHODS=crosskd for .*twin_mine\.py with TEACHER=.*other\.py: (.|\n)*the student's head is GFLHead"
    with pytest.raises(RecipeError, match=message):
        suited(tmp_path, mine, written(tmp_path / "other.py", plain("ATSS")))
    assert not (tmp_path / "students").exists()


def test_a_recipe_of_this_project_is_taken_as_it_is() -> None:
    found = own_teacher(OWN_TEACHER)
    assert (found.path, found.files, found.said()) == (OWN_TEACHER, {}, [])
