"""Switch ``params.yaml`` to a recipe: its twin, its teacher and the data set to train on."""

import io
import logging
import re
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from deploy.runtime.arguments import Parser
from deploy.runtime.text_files import MissingText, UnreadableText, read_text
from pipeline.cli import stage_main
from pipeline.dataset_settings import DataSettings
from pipeline.datasets.folder_format import FORMATS, class_names, detect, split_names
from pipeline.errors import RecipeError, SettingsError
from pipeline.layout import TEACHER
from pipeline.profiles import FOLDER, load_profile, merge
from pipeline.recipes import COCO_CLASSES, read_recipe
from pipeline.settings import PARAMS_FILE, parse_params
from pipeline.storage import write_atomic
from pipeline.strict_yaml import read_yaml

logger = logging.getLogger(__name__)

COCO_PROFILE = FOLDER / "coco.yaml"
COCO = "coco_dir"
TWIN = "twin"
_SECTION = re.compile(r"[a-z_]+:")


class _Representer(RoundTripRepresenter):
    """Writes null as the word, as params.yaml does, and not as nothing."""

    def represent_none(self, data: None) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Switch params.yaml to one or more recipes that share teacher and twin; `git checkout params.yaml` undoes it."""
    parser = Parser(prog="python -m pipeline.choice", description=main.__doc__)
    parser.add_argument("recipes", nargs="+", type=Path, help="files of configs/students that name teacher and twin")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("datasets/coco"),
        help="folder with COCO's, YOLO's or VOC's labels (%(default)s)",
    )
    parser.add_argument("--format", choices=FORMATS, help="where a folder could be read as several (found by itself)")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE, help="the file to change (%(default)s)")
    arguments = parser.parse_args(argv)
    choice = read_choice(arguments.recipes, arguments.data, arguments.format)
    switch(arguments.params, choice)
    for line in describe(choice):
        logger.info("%s", line)


def read_choice(recipes: Sequence[Path], data: Path, data_format: str | None = None) -> dict[str, Any]:
    """What of ``params.yaml`` changes, section by section; ``data_format`` is as :func:`detect` takes it.

    Raises:
        RecipeError: a recipe cannot be read or names no teacher and twin, or several do not share them.
        DatasetError: the folder is in no format that is known, or could be in several.
    """
    configs = {path: read_recipe(path) for path in recipes}
    pairs = {path: _pair(path, config) for path, config in configs.items()}
    first = recipes[0]
    for path, pair in pairs.items():
        if pair != pairs[first]:
            raise RecipeError(
                f"{path} is for the teacher {pair[0]} and the twin {pair[1]}, {first} for {pairs[first][0]} and "
                f"{pairs[first][1]}; a run has one of each, so use them one after the other"
            )
    teacher, twin = pairs[first]
    students = {name: str(path) for name, path in _named(configs).items()}
    found = detect(data, data_format)
    choice = _data_changes(found)
    choice["teacher"] = {
        "source": "auto",
        "config": teacher,
        "options": {},
        "checkpoints": _checkpoints(teacher, found),
    }
    choice["twins"] = {TWIN: {"recipe": twin, "options": {}}}
    choice["students"] = {name: {"recipe": path, "options": {}} for name, path in students.items()}
    choice["export"] = {"models": [TEACHER, TWIN, *students], **_thresholds(configs[first])}
    choice["report"] = {"baseline": TWIN}
    return choice


def switch(params: Path, choice: Mapping[str, Any]) -> None:
    """Put a choice into a ``params.yaml``; raises :class:`SettingsError` as :func:`switched`, or for no file."""
    try:
        text = read_text(params)
    except MissingText as error:
        raise SettingsError(f"{params}: no such file; run the command from the project's root") from error
    except UnreadableText as error:
        raise SettingsError(f"{params}: {error}") from error
    write_atomic(params, switched(text, choice, str(params)))


def switched(text: str, choice: Mapping[str, Any], source: str) -> str:
    """The text of a ``params.yaml`` with a choice in place; comments stay, except those inside what is replaced.

    Raises:
        SettingsError: the text is no ``params.yaml``, or becomes an invalid one.
    """
    parser = YAML()
    parser.Representer = _Representer
    parser.preserve_quotes = True
    parser.width = 4096
    parser.indent(mapping=2, sequence=4, offset=2)
    try:
        # The rules of params.yaml first: ruamel's are others, and it lets errors of its own out.
        read_yaml(text)
        params = parser.load(text)
    except (UnreadableText, YAMLError) as error:
        raise SettingsError(f"{source}: {error}") from error
    if not isinstance(params, MutableMapping):
        raise SettingsError(f"{source}: holds {type(params).__name__}, not a mapping of settings")
    # Replaced as wholes: an entry of the earlier choice would belong to another teacher or student.
    params["twins"], params["students"] = {}, {}
    if "data" in choice:
        _forget_other_folder(params, choice["data"])
    if isinstance(teacher := params.get("teacher"), MutableMapping):
        teacher.update({"options": {}, "checkpoints": {}, "published_ap": {}})
    merge(params, choice)
    stream = io.StringIO()
    parser.dump(params, stream)
    changed = _spaced(stream.getvalue())
    parse_params(read_yaml(changed), source=f"{source} with {', '.join([*choice['twins'], *choice['students']])}")
    return changed


def _forget_other_folder(params: MutableMapping[str, Any], data: Mapping[str, Any]) -> None:
    """Empty the section of the chosen format where it describes another folder; what was set for this one stays."""
    sections, name = params.get("data"), data["name"]
    section = sections.get(name) if isinstance(sections, MutableMapping) else None
    if not isinstance(sections, MutableMapping) or not isinstance(section, MutableMapping):
        return
    if section.get("root") != data[name]["root"]:
        sections[name] = {}
        return
    for key, value in data[name].items():
        if isinstance(value, Mapping) and section.get(key) != value:
            section[key] = {}


def describe(choice: Mapping[str, Any]) -> list[str]:
    """What was chosen and what to do next, a line each."""
    data, teacher = choice["data"], choice["teacher"]
    fetched = next(iter(teacher["checkpoints"].values()), None)
    splits = split_names(DataSettings.model_validate(data))
    lines = [f"data: {data[data['name']]['root']} ({data['name']})"]
    if "val" not in splits:
        taken = "val" if "test" in splits else "val and test"
        lines.append(f"{taken}: taken from train by a seed (data.{data['name']}.splits in params.yaml)")
    elif "test" not in splits:
        lines.append("test split: val, also used to choose weights, as the published numbers do")
    origin = fetched["sources"][0] if fetched else "trained here: no published weights for these classes"
    lines.append(f"teacher: {teacher['config']} ({origin})")
    trained = {**choice["twins"], **choice["students"]}
    lines += [f"{name}: {student['recipe']}" for name, student in trained.items()]
    return [*lines, "next: make repro (or dvc repro); back to the embedded run: git checkout params.yaml"]


def _pair(path: Path, config: Config) -> tuple[str, str]:
    missing = [key for key in (TEACHER, TWIN) if not isinstance(config.get(key), str)]
    if missing or "distillation" not in config:
        raise RecipeError(
            f"{path}: names no {' and no '.join(missing) or 'method under `distillation`'}; choose a distilled recipe, "
            'or add `teacher = "configs/teachers/..."` and `twin = "configs/students/..."` to yours'
        )
    for key in (TEACHER, TWIN):
        if not Path(config[key]).is_file():
            raise RecipeError(f"{path}: {key} = {config[key]!r}: no such file; paths start at the project's root")
    return config[TEACHER], config[TWIN]


def _named(configs: Mapping[Path, Config]) -> dict[str, Path]:
    """Students by the names of their methods, or of their files where two have the same methods."""
    methods = {
        path: "_".join(m["type"].lower() for m in config.distillation.methods) for path, config in configs.items()
    }
    names = list(methods.values())
    return {path.stem if names.count(name) > 1 else name: path for path, name in methods.items()}


def _data_changes(found: DataSettings) -> dict[str, Any]:
    changes = found.model_dump(mode="json", exclude_unset=True)
    profile = load_profile(COCO_PROFILE)
    own, section = profile["data"][COCO], changes[found.name]
    if found.name == COCO and (section["train"], section["val"]) == (own["train"], own["val"]):
        own["root"] = section["root"]
        return profile
    return {"data": changes}


def _checkpoints(teacher: str, found: DataSettings) -> dict[str, Any]:
    config = read_recipe(Path(teacher))
    if "checkpoint" not in config or class_names(found) != COCO_CLASSES:
        return {}
    return {found.name: config.checkpoint.to_dict()}


def _thresholds(config: Config) -> dict[str, Any]:
    """The recipe's own post-processing, which its published AP was measured with."""
    test = config.model.test_cfg
    last = test.get("rcnn", test)
    return {
        "score_threshold": last.score_thr,
        "nms_iou_threshold": last.nms.iou_threshold,
        "max_candidates": test.get("nms_pre", 1000),
        "max_detections": last.max_per_img,
    }


def _spaced(text: str) -> str:
    """Give each section the empty line before it again that went with what was replaced."""
    lines: list[str] = []
    for line in text.splitlines():
        if _SECTION.match(line) and lines and lines[-1].strip() and not lines[-1].startswith("#"):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
