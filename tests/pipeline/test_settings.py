"""params.yaml: what is wrong is listed with key and value, all of it at once."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml
import yaml
from pydantic import ValidationError

from pipeline.errors import SettingsError
from pipeline.settings import PARAMS_FILE, Params, load_params, parse_params
from pipeline.strict_yaml import read_yaml


def smallest() -> dict[str, Any]:
    return {
        "data": {"name": "trees"},
        "teacher": {"config": "configs/teachers/t.py"},
        "students": {"twin": {"recipe": "configs/students/s.py"}},
        "export": {"models": ["teacher", "twin"]},
        "benchmark": {"backends": ["onnxruntime"]},
    }


def with_value(dotted: str, value: object) -> dict[str, Any]:
    content = smallest()
    *path, last = dotted.split(".")
    place = content
    for key in path:
        place = place.setdefault(key, {})
    place[last] = value
    return content


def test_the_projects_own_file_is_valid() -> None:
    params = load_params(PARAMS_FILE)
    assert params.report.baseline in params.twins
    assert all(student.recipe.is_file() for student in params.trained.values())
    assert params.teacher.config.is_file()


def test_defaults_fill_what_is_not_given() -> None:
    params = parse_params(smallest())
    assert params.data.trees.tile_size == 256
    assert params.benchmark.batch_sizes == [1, 8, 32]
    assert params.gates.teacher_min_ap is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.name", "coco2017"),
        ("data.digits.image_size", 250),
        ("data.digits.train", 0),
        ("data.trees.overlap", -1),
        ("teacher.source", "download"),
        ("teacher.config", None),
        ("students.twin.schedule", "1x"),
        ("train.device", "tpu"),
        ("train.precision", "int8"),
        ("train.launcher", "mpi"),
        ("train.processes", 0),
        ("train.nodes", 0),
        ("train.workers", -2),
        ("evaluate.confidence", 1.0),
        ("export.score_threshold", 1.5),
        ("export.nms_iou_threshold", 0),
        ("export.opset", 11),
        ("export.models", []),
        ("engine.nms_passes", 15),
        ("engine.profiles", []),
        ("engine.workspace_mib", 0),
        ("benchmark.backends", "onnxruntime"),
        ("benchmark.iterations", "many"),
        ("gates.export_min_matched", float("nan")),
        ("gates.min_ap", 30),
        ("report.score_threshold", -0.1),
        ("report.card.licence", "Apache 2.0"),
        ("report.card.dataset", "name"),
        ("report.card.data_licence", "two\nlines"),
        ("train.iterations", 0),
        ("train.epochs", 2.5),
        ("train.learning_rate", 0),
        ("input_size", [320]),
        ("input_size", 0),
        ("students.twin.width", 0),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_value(key: str, value: object) -> None:
    with pytest.raises(SettingsError) as error:
        parse_params(with_value(key, value), source="my.yaml")
    message = str(error.value)
    assert message.startswith("my.yaml has 1 invalid value(s)")
    assert f"  {key}: " in message
    assert f"(got {value!r})" in message


def test_a_bad_item_is_named_with_its_place() -> None:
    with pytest.raises(SettingsError, match=r"benchmark\.batch_sizes\.1: .* \(got 0\)"):
        parse_params(with_value("benchmark.batch_sizes", [1, 0]))
    with pytest.raises(SettingsError, match=r"students\.Twin\..* \(got 'Twin'\)"):
        parse_params(with_value("students.Twin", {"recipe": "x.py"}))


@pytest.mark.parametrize("sha256", ["", "8C" * 32, "8c" * 31, "z" * 64])
def test_a_checkpoint_needs_a_sha256_in_small_hexadecimal(sha256: str) -> None:
    checkpoint = {"sources": ["weights.pth"], "sha256": sha256}
    with pytest.raises(SettingsError, match=r"teacher\.checkpoints\.trees\.sha256"):
        parse_params(with_value("teacher.checkpoints.trees", checkpoint))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of sha256"),
        ({"sha256": "0" * 64, "sha256_prefix": "0" * 8}, "exactly one of sha256"),
        ({"sha256_prefix": "0676ba6"}, "sha256_prefix: String should match"),
        ({"sha256_prefix": 25944287}, "sha256_prefix: Input should be a valid string"),
    ],
)
def test_a_checkpoint_has_exactly_one_check(given: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_params(with_value("teacher.checkpoints.trees", {"sources": ["weights.pth"], **given}))


def test_a_checkpoint_may_be_known_by_the_digits_in_its_name() -> None:
    listed = {"sources": ["resnet50-0676ba61.pth"], "sha256_prefix": "0676ba61"}
    checkpoint = parse_params(with_value("teacher.checkpoints.trees", listed)).checkpoint()
    assert checkpoint is not None
    assert checkpoint.digest == "0676ba61"


@pytest.mark.parametrize(
    ("model", "required"),
    [("teacher", {"config": "a.py"}), ("twins.alone", {"recipe": "a.py"}), ("students.kd", {"recipe": "a.py"})],
)
def test_init_has_exactly_one_check(model: str, required: dict[str, str]) -> None:
    def parsed(init: object) -> Params:
        return parse_params(with_value(model, required | {"init": init}))

    assert parsed({"sources": ["a.pth"], "sha256_prefix": "0676ba61"})
    with pytest.raises(SettingsError, match=rf"{model}\.init: .*nothing is fetched unchecked"):
        parsed({"sources": ["a.pth"]})
    with pytest.raises(SettingsError, match=rf"{model}\.init: .*dictionary"):
        parsed("a.pth")


def test_a_published_number_stands_beside_its_checkpoint() -> None:
    checkpoint: dict[str, Any] = {"sources": ["a"], "sha256": "0" * 64}
    content = with_value("teacher.checkpoints.trees", checkpoint)
    content["teacher"]["published_ap"] = {"trees": 87.0}
    assert parse_params(content).teacher.published_ap == {"trees": 87.0}
    content["teacher"]["published_ap"]["digits"] = 80.0
    with pytest.raises(SettingsError, match=r"teacher: .*\['digits'\] are no data sets of `checkpoints`, \['trees'\]"):
        parse_params(content)
    checkpoint["published_ap"] = 87.0  # where it stood once
    with pytest.raises(SettingsError, match=r"teacher\.checkpoints\.trees: .*published_ap has moved"):
        parse_params(content)


def test_all_findings_are_listed_at_once() -> None:
    content = with_value("train.device", "tpu")
    content["export"]["opset"] = 3
    del content["benchmark"]
    with pytest.raises(SettingsError) as error:
        parse_params(content)
    lines = str(error.value).splitlines()
    assert lines[0] == "params.yaml has 3 invalid value(s):"
    assert {line.split(":")[0].strip() for line in lines[1:]} == {"train.device", "export.opset", "benchmark"}


def test_long_values_are_cut() -> None:
    with pytest.raises(SettingsError) as error:
        parse_params(with_value("train.device", "x" * 5000))
    assert len(str(error.value)) < 300


def test_models_and_students_must_fit_together() -> None:
    with pytest.raises(SettingsError, match="'crosskd' is no student; known: teacher, twin"):
        parse_params(with_value("export.models", ["twin", "crosskd"]))
    with pytest.raises(SettingsError, match="'teacher' is taken"):
        parse_params(with_value("students.teacher", {"recipe": "x.py"}))
    with pytest.raises(SettingsError, match="twins and students: both are empty"):
        parse_params(with_value("students", {}))
    with pytest.raises(SettingsError, match="twins and students: both have twin"):
        parse_params(with_value("twins.twin", {"recipe": "x.py"}))
    with pytest.raises(SettingsError, match=r"twins\.alone\.unlabelled: a twin waits for no teacher"):
        parse_params(with_value("twins.alone", {"recipe": "x.py", "unlabelled": 1.0}))


def test_the_checkpoint_of_the_chosen_data_set() -> None:
    content = with_value("teacher.checkpoints", {"digits": {"sources": ["a"], "sha256": "0" * 64}})
    assert parse_params(content).checkpoint() is None
    content["data"]["name"] = "digits"
    checkpoint = parse_params(content).checkpoint()
    assert checkpoint is not None
    assert checkpoint.sources == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "whole file"),
        ("- 1\n", "whole file"),
        ("data: [", "not valid YAML"),
        ("a: !!python/name:os.system", "not valid YAML"),
    ],
)
def test_files_that_are_no_settings(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as error:
        load_params(path)
    assert str(path) in str(error.value)


def test_missing_file_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="from the project's root"):
        load_params(tmp_path / "params.yaml")


def test_a_written_file_is_read_back_and_cannot_change(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(smallest()))
    params = load_params(path)
    assert params == parse_params(smallest())
    with pytest.raises(ValidationError, match="frozen"):
        params.train.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "key", "first", "again"),
    [
        ("data: {name: trees}\ntrain: {seed: 0}\ndata: {name: digits}\n", "data", 1, 3),
        ("train:\n  seed: 0\n  workers: 2\n  seed: 1\n", "seed", 2, 4),
        ("train: {seed: 0, seed: 1}\n", "seed", 1, 1),
        ("students:\n  twin: {recipe: a.py}\n  'twin': {recipe: b.py}\n", "twin", 2, 3),
    ],
)
def test_a_key_given_twice_is_named_with_its_lines(tmp_path: Path, text: str, key: str, first: int, again: int) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_params(path)
    assert str(path) in str(error.value)
    assert f"the key '{key}' of line {first} is given again" in str(error.value)
    assert f"line {again}, column" in str(error.value)


def test_equal_keys_in_different_mappings_are_no_error() -> None:
    text = "base: &base {seed: 0}\na: {<<: *base, seed: 1}\nb: {<<: *base, workers: 2}\n1: {}\n"
    assert read_yaml(text) == {"base": {"seed": 0}, "a": {"seed": 1}, "b": {"seed": 0, "workers": 2}, 1: {}}


def test_a_batch_that_no_engine_takes_is_named() -> None:
    content = smallest()
    content["engine"] = {"profiles": [{"least": 1, "best": 1, "most": 1}, {"least": 4, "best": 8, "most": 8}]}
    content["benchmark"] = {"backends": ["tensorrt"], "batch_sizes": [1, 2, 8, 16]}
    with pytest.raises(SettingsError, match=r"benchmark\.batch_sizes: \[2, 16\] are in no profile of engine\.profiles"):
        parse_params(content)
    content["benchmark"]["backends"] = ["onnxruntime"]
    assert parse_params(content).benchmark.batch_sizes == [1, 2, 8, 16]


@pytest.mark.parametrize("launcher", ["none", "slurm"])
@pytest.mark.parametrize("key", ["processes", "nodes"])
def test_processes_and_nodes_need_the_launcher_that_starts_them(launcher: str, key: str) -> None:
    content = smallest() | {"train": {"launcher": launcher, key: 2}}
    with pytest.raises(SettingsError, match=rf"{key} is 2.*which only launcher 'pytorch' starts.* is '{launcher}'"):
        parse_params(content)
    assert getattr(parse_params(smallest() | {"train": {"launcher": "pytorch", key: 2}}).train, key) == 2


def test_only_what_is_listed_can_be_read() -> None:
    params = parse_params(with_value("train.seed", 7)).only("train.seed", "evaluate")
    assert (params.train.seed, params.evaluate.split) == (7, "test")
    for read in (lambda: params.train.workers, lambda: params.benchmark, lambda: params.checkpoint()):
        with pytest.raises(AttributeError):
            read()
    assert pickle.loads(pickle.dumps(params)).train.seed == 7


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("report.baseline", "twinn", "report.baseline: 'twinn' is no student; did you mean 'twin'?"),
        ("report.baseline", "zebra", "report.baseline: 'zebra' is no student; known: twin"),
        ("export.models", ["teacher", "twim"], "export.models: 'twim' is no student; did you mean 'twin'?"),
        (
            "train.chanels_last",
            True,
            "train.chanels_last: Extra inputs are not permitted; did you mean 'channels_last'?",
        ),
        ("tran", {}, "tran: Extra inputs are not permitted; did you mean 'train'?"),
        ("data.coco_dir.train.image", "x", "did you mean 'images'?"),
    ],
)
def test_a_name_that_is_misspelt_is_told_with_the_nearest_one(key: str, value: object, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_params(with_value(key, value))
    assert said in str(caught.value)


def test_without_a_student_of_the_default_name_there_is_no_baseline() -> None:
    content = smallest()
    content["students"] = {"mine": {"recipe": "x.py"}}
    content["export"] = {"models": ["mine"]}
    assert parse_params(content).report.baseline == "twin"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), ".nan"])
@pytest.mark.parametrize("key", ["gates.teacher_min_ap", "benchmark.noise_limit", "gates.export_max_box_difference_px"])
def test_what_is_no_number_is_no_limit(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=key):
        parse_params(with_value(key, value))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("-1E6", -1e6), ("+.5e+2", 50.0), ("1.e1", 10.0), ("0.001", 0.001), ("12", 12), ("1e", "1e"),
     ("e3", "e3"), ("'1e-3'", "1e-3"), ("1e-3x", "1e-3x"), ("0x1e3", 0x1E3)],
)  # fmt: skip
def test_numbers_are_read_as_dvc_reads_them(text: str, value: object) -> None:
    found = read_yaml(f"options: {{optim_wrapper.optimizer.lr: {text}}}")["options"]["optim_wrapper.optimizer.lr"]
    assert (found, type(found)) == (value, type(value))
    assert ruamel.yaml.YAML(typ="safe").load(text) == value


def test_a_group_of_one_session_would_compare_nothing():
    content = {"data": {"name": "digits"}, "teacher": {"config": "t.py"}, "compare": {"sessions": 1}}
    with pytest.raises(SettingsError, match=r"compare\.sessions"):
        parse_params(content)
