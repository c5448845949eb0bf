"""Switching params.yaml to a recipe: what changes, what stays, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.choice.__main__ import main
from pipeline.choice.params_file import switched, unlabelled_settings
from pipeline.choice.recipes import Wishes, read_choice
from pipeline.dataset_settings import DataSettings
from pipeline.datasets.folder_format import detect
from pipeline.errors import DatasetError, RecipeError, SettingsError
from pipeline.recipes import COCO_CLASSES
from pipeline.settings import PARAMS_FILE, load_params, parse_params
from pipeline.strict_yaml import read_yaml
from tests.pipeline.datasets.voc_folder import VocFolder
from tests.pipeline.datasets.yolo_folder import YoloFolder
from tests.recipe_files import read_once

STUDENTS = Path("configs/students")
GFL = STUDENTS / "crosskd_gfl_r50_r18_1x_coco.py"
EMBEDDED_RUN = [STUDENTS / f"{name}_gfl_mobilenetv2_r18w16_embedded.py" for name in ("crosskd", "crosskd_pkd", "cskd")]
BOTH = [STUDENTS / "crosskd_gfl_r101_r50_1x_coco.py", STUDENTS / "crosskd_pkd_gfl_r101_r50_1x_coco.py"]


def folder(root: Path, classes: tuple[str, ...], **files: str) -> Path:
    """A COCO-style folder that holds the categories alone."""
    (root / "annotations").mkdir(parents=True)
    # COCO's own ids have gaps, and nothing says that categories are listed in the order of their ids.
    categories = [{"id": 2 * number + 1, "name": name} for number, name in enumerate(classes)][::-1]
    for name in files.values():
        (root / "annotations" / name).write_text(json.dumps({"categories": categories}))
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return folder(tmp_path / "coco", COCO_CLASSES, train="instances_train2017.json", val="instances_val2017.json")


def test_a_recipe_switches_what_is_its_own_and_leaves_the_rest(coco: Path) -> None:
    earlier = "  init: {sources: [mobilenet.pth], sha256_prefix: '00000000'}  # a"
    text = PARAMS_FILE.read_text().replace("  init: null              # a", earlier)
    assert earlier in text
    text = switched(text, read_choice([GFL], detect(coco)), "params.yaml")
    before, after = load_params(PARAMS_FILE), parse_params(read_yaml(text))
    assert after.data.name == "coco_dir"
    assert after.data.coco_dir.root == coco
    assert after.data.coco_dir.val.annotations == "annotations/instances_val2017.json"
    assert after.data.coco_dir.test is None
    assert after.data.coco_dir.boxes_without_area == "drop"
    assert after.teacher.config == Path("configs/teachers/gfl_r50_1x_coco.py")
    checkpoint = after.checkpoint()
    assert checkpoint is not None
    assert checkpoint.sha256_prefix == "25944287"  # digits alone, which YAML would take for a number
    assert after.teacher.published_ap == {}  # the recipe has it
    assert (after.teacher.init, after.input_size, after.train.epochs) == (None, None, None)
    recipes = {name: str(student.recipe) for name, student in after.trained.items()}
    assert recipes == {"twin": str(STUDENTS / "twin_gfl_r18_1x_coco.py"), "crosskd": str(GFL)}
    assert after.export.models == ["teacher", "twin", "crosskd"]
    assert after.export.nms_iou_threshold == 0.6
    assert (after.gates, after.report) == (before.gates, before.report)
    assert (after.benchmark.accuracy_images, after.benchmark.batch_sizes) == (500, [1, 8])
    assert (after.benchmark.backends, after.precision.calibration) == (
        before.benchmark.backends,
        before.precision.calibration,
    )
    assert after.data.digits == before.data.digits
    assert after.data.choose_on == "val"
    assert "# Every value a stage reads." in text
    assert "source: auto            # auto: fetch where a checkpoint is listed" in text
    assert "device: auto            # auto | cpu | cuda" in text
    assert "benchmark_max_latency_ms: null" in text
    assert [line for line in text.split("\n\n") if line.startswith("train:")]


def test_what_is_said_of_pictures_without_boxes_stays_for_every_data_set(coco: Path, tmp_path: Path) -> None:
    text = PARAMS_FILE.read_text()
    assert unlabelled_settings(text) == {"unlabelled": None, "labelled_share": 1.0, "labelled_seed": 0}
    text = text.replace("unlabelled: null  ", "unlabelled: my heap").replace(
        "labelled_share: 1.0", "labelled_share: 0.2"
    )
    said = unlabelled_settings(text)
    assert said == {"unlabelled": Path("my heap"), "labelled_share": 0.2, "labelled_seed": 0}
    yolo = detect(YoloFolder(tmp_path / "yolo").write().root)
    for found in (detect(coco), yolo, DataSettings(name="trees")):
        kept = switched(text, read_choice([GFL], found), "params.yaml")
        assert unlabelled_settings(kept) == said
        assert "# a folder of pictures without boxes" in kept
        given = found.model_copy(update={**said, "unlabelled": Path("other")})
        changed = switched(text, read_choice([GFL], given), "params.yaml")
        assert unlabelled_settings(changed) == {**said, "unlabelled": Path("other")}
        assert "# a folder of pictures without boxes" in changed
    assert unlabelled_settings("data: {labelled_share: 7}") == unlabelled_settings("[1]") == {}


def test_a_part_of_train_chooses_where_it_is_wished(coco: Path, tmp_path: Path) -> None:
    wish = Wishes(choose_on="train")
    text = switched(PARAMS_FILE.read_text(), read_choice([GFL], detect(coco), wish), "params.yaml")
    assert parse_params(read_yaml(text)).data.choose_on == "train"
    assert "choose_on: train        # of your own without test" in text
    again = switched(text, read_choice([GFL], detect(coco)), "params.yaml")
    assert parse_params(read_yaml(again)).data.choose_on == "val"
    whole = YoloFolder(tmp_path / "yolo").write().root
    with pytest.raises(DatasetError, match=r"yolo: has val and test; CHOOSE_ON=train is for a folder without test"):
        read_choice([GFL], detect(whole), wish)
    with pytest.raises(DatasetError, match=r"digits: has val and test; CHOOSE_ON=train"):
        read_choice([EMBEDDED_RUN[0]], DataSettings(name="digits"), wish)


def test_the_embedded_run_is_a_choice_as_any_other(coco: Path) -> None:
    before = load_params(PARAMS_FILE)
    elsewhere = switched(PARAMS_FILE.read_text(), read_choice([GFL], detect(coco)), "params.yaml")
    back = switched(elsewhere, read_choice(EMBEDDED_RUN, DataSettings(name="digits")), "params.yaml")
    after = parse_params(read_yaml(back))
    for section in ("data", "input_size", "teacher", "twins", "students", "export", "gates", "report"):
        unlike = {"coco_dir": before.data.coco_dir} if section == "data" else {}
        found = getattr(after, section)
        assert (found.model_copy(update=unlike) if unlike else found) == getattr(before, section), section
    trees = parse_params(
        read_yaml(switched(back, read_choice(EMBEDDED_RUN, DataSettings(name="trees")), "params.yaml"))
    )
    assert (trees.data.name, trees.checkpoint(), trees.data.digits) == ("trees", None, before.data.digits)


def test_a_second_switch_keeps_nothing_of_the_first(coco: Path) -> None:
    first = switched(PARAMS_FILE.read_text(), read_choice(BOTH, detect(coco)), "params.yaml")
    second = switched(first, read_choice([GFL], detect(coco)), "params.yaml")
    assert second == switched(PARAMS_FILE.read_text(), read_choice([GFL], detect(coco)), "params.yaml")
    assert list(parse_params(read_yaml(first)).trained) == ["twin", "crosskd", "crosskd_pkd"]


def test_limits_are_widened_for_one_choice_and_not_for_the_next(coco: Path) -> None:
    text, choice = PARAMS_FILE.read_text(), read_choice([GFL], detect(coco))
    own = text.replace("bf16: 0.2,", "bf16: 0.1,").replace("int8: 1.0,", "int8: null,")
    wide = switched(own, choice, "params.yaml", times_wider=5)
    limits = parse_params(read_yaml(wide)).gates.benchmark_max_map_drop
    # Narrower ones, and none, are the user's.
    assert limits == {"fp32": 0.25, "bf16": 0.1, "fp16": 1.0, "int8": None, "int8_symmetric": 5.0}
    again = parse_params(read_yaml(switched(wide, choice, "params.yaml"))).gates.benchmark_max_map_drop
    assert again == parse_params(read_yaml(own)).gates.benchmark_max_map_drop


@pytest.mark.usefixtures(read_once.__name__)
@pytest.mark.parametrize("path", sorted(STUDENTS.glob("c*_coco.py")), ids=lambda path: path.stem)
def test_every_recipe_gives_valid_params(path: Path, coco: Path) -> None:
    params = parse_params(
        read_yaml(switched(PARAMS_FILE.read_text(), read_choice([path], detect(coco)), "params.yaml"))
    )
    overlaps = {"rtmdet": 0.65, "yolox": 0.65, "gfl": 0.6, "atss": 0.6, "fcos_giou": 0.6}
    scores = {"rtmdet": 0.001, "yolox": 0.01}
    of_family = [next((known[name] for name in known if name in path.stem), None) for known in (overlaps, scores)]
    assert params.export.nms_iou_threshold == (of_family[0] or 0.5)
    assert params.export.score_threshold == (of_family[1] or 0.05)
    assert params.teacher.config.is_file()
    assert all(student.recipe.is_file() for student in params.trained.values())
    trained = "fcos_giou" in path.stem or "swint" in path.stem
    assert (params.checkpoint() is None) == trained


def test_own_classes_take_the_recipe_and_not_the_published_teacher(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", ("bolt", "nut"), train="train.json", val="val.json", test="test.json")
    params = parse_params(read_yaml(switched(PARAMS_FILE.read_text(), read_choice([GFL], detect(own)), "params.yaml")))
    assert params.checkpoint() is None
    assert params.data.coco_dir.boxes_without_area == "error"
    assert params.data.coco_dir.train.images == "train"
    assert params.data.coco_dir.test is not None


def switched_to(text: str, data: Path, data_format: str | None = None) -> str:
    return switched(text, read_choice([GFL], detect(data, data_format)), "params.yaml")


def test_labels_of_yolo_and_voc_are_chosen_as_well(tmp_path: Path) -> None:
    yolo, voc = YoloFolder(tmp_path / "yolo").write().root, VocFolder(tmp_path / "voc").write().root
    text = switched_to(PARAMS_FILE.read_text(), yolo)
    params = parse_params(read_yaml(text))
    assert (params.data.name, params.data.yolo_dir.root, params.checkpoint()) == ("yolo_dir", yolo, None)
    assert params.benchmark == load_params(PARAMS_FILE).benchmark
    params = parse_params(read_yaml(switched_to(text, voc, "voc_dir")))
    assert (params.data.name, params.data.voc_dir.root) == ("voc_dir", voc)
    assert params.data.yolo_dir.root == yolo  # the section of another format stays


def test_yolo_with_cocos_classes_takes_the_published_teacher(tmp_path: Path) -> None:
    folder = YoloFolder(tmp_path / "coco")
    folder.config |= {"names": dict(enumerate(COCO_CLASSES)), "nc": len(COCO_CLASSES)}
    params = parse_params(read_yaml(switched_to(PARAMS_FILE.read_text(), folder.write().root)))
    checkpoint = params.checkpoint()
    assert checkpoint is not None
    assert checkpoint.sha256_prefix == "25944287"


def test_what_is_set_for_a_folder_stays_and_goes_with_it(tmp_path: Path) -> None:
    first, second = (VocFolder(tmp_path / name).write().root for name in ("first", "second"))
    content = read_yaml(switched_to(PARAMS_FILE.read_text(), first))
    content["data"]["voc_dir"]["difficult"] = "keep"
    text = yaml.safe_dump(content)
    (first / "ImageSets/Main/train.txt").unlink()
    (first / "ImageSets/Main/val.txt").unlink()
    again = parse_params(read_yaml(switched_to(text, first))).data.voc_dir
    assert (again.difficult, again.val) == ("keep", None)
    assert again.train.image_set is None
    other = parse_params(read_yaml(switched_to(text, second))).data.voc_dir
    assert (other.difficult, other.root) == ("ignore", second)


def test_a_folder_of_no_known_layout_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"known format(.|\n)*coco_dir: (.|\n)*yolo_dir: (.|\n)*voc_dir: "):
        read_choice([GFL], detect(tmp_path))


def test_annotations_with_a_key_twice_are_named(coco: Path) -> None:
    (coco / "annotations/instances_val2017.json").write_text('{"categories": [],\n"categories": []}')
    with pytest.raises(DatasetError, match=r"instances_val2017\.json: .*categories in line 1 and again in line 2"):
        read_choice([GFL], detect(coco))


@pytest.mark.parametrize("content", ["{", "[]", '{"categories": [{"id": 1}]}', '{"categories": 3}', 9999 * "["])
def test_annotations_that_are_no_coco_json_are_named(coco: Path, content: str) -> None:
    (coco / "annotations/instances_val2017.json").write_text(content)
    with pytest.raises(DatasetError, match=r"instances_val2017\.json: no COCO json"):
        read_choice([GFL], detect(coco))


def test_a_recipe_without_teacher_or_twin_is_explained(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="names no teacher and no twin; choose a distilled recipe"):
        read_choice([STUDENTS / "twin_gfl_r50_1x_coco.py"], detect(coco))
    own = tmp_path / "own.py"
    own.write_text(f"_base_ = {str(GFL.resolve())!r}\nteacher = 'configs/teachers/none.py'\n")
    with pytest.raises(RecipeError, match=r"own\.py: teacher = 'configs/teachers/none\.py': no such file"):
        read_choice([own], detect(coco))
    with pytest.raises(RecipeError, match=r"absent\.py: cannot be read"):
        read_choice([tmp_path / "absent.py"], detect(coco))


def test_recipes_of_different_pairs_are_not_mixed(coco: Path) -> None:
    with pytest.raises(RecipeError, match="use them one after the other"):
        read_choice([GFL, *BOTH], detect(coco))


def test_two_recipes_of_one_method_are_named_by_their_files(coco: Path, tmp_path: Path) -> None:
    other = tmp_path / "stronger.py"
    other.write_text(f"_base_ = {str(GFL.resolve())!r}\n")
    assert list(read_choice([GFL, other], detect(coco))["students"]) == [GFL.stem, "stronger"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [", "my.yaml: not valid YAML"),
        ("- 1\n", "my.yaml: holds CommentedSeq"),
        ("train: {device: tpu}\n", r"my\.yaml with twin, crosskd has \d invalid value"),
    ],
)
def test_a_file_that_is_no_params_is_left_alone(coco: Path, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        switched(text, read_choice([GFL], detect(coco)), "my.yaml")
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit):
        main([str(GFL), "--data", str(coco), "--params", str(path)])
    assert path.read_text() == text


def test_a_missing_file_names_the_cure(coco: Path, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="run the command from the project's root"):
        main([str(GFL), "--data", str(coco), "--params", str(tmp_path / "none.yaml")])
