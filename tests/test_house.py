"""The rules of the house: who may import whom, what a file may be called and how long it may grow."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = ("pipeline", "stages", "deploy")
# Which rooms a room may import from, its own aside. The first three run where an artefact runs: no torch, no pipeline/.
ROOMS: dict[str, set[str]] = {
    "deploy.runtime": set(),
    "deploy.prediction": {"deploy.runtime"},
    "deploy.timing": {"deploy.runtime"},
    "pipeline": {"deploy.runtime"},
    "deploy.graph": {"deploy.runtime", "pipeline"},
    "deploy.precision": {"deploy.runtime", "pipeline"},
    "deploy.engines": {"deploy.runtime", "deploy.graph", "pipeline"},
    "deploy.publishing": {"deploy.runtime", "pipeline"},
    "deploy.labelling": {"deploy.runtime", "deploy.graph", "pipeline"},
    "deploy.ladder": {"deploy.runtime", "deploy.timing", "deploy.graph", "pipeline"},
}
RUN_TIME = ("deploy.runtime", "deploy.prediction", "deploy.timing")
# Commands that users know: each opens into a room.
DOORS = ("deploy.compare", "deploy.predict", "deploy.publish", "deploy.raw_export", "deploy.triton")
LEARNING_SIDE = {"torch", "torchvision", "mmengine", "mmcv", "mmdet", "pydantic", "pycocotools"}
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "v2"}
LONGEST_FILE = 300
LONGEST_FUNCTION = 40
LONGEST_STAGE = 60
OF_BOTH_SIDES = {"errors"}
# Import names that differ from the name on the package index.
DISTRIBUTION = {
    "PIL": "pillow",
    "cpuinfo": "py-cpuinfo",
    "cv2": "opencv-python-headless",
    "mmcv": "mmcv-lite",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
OPTIONAL = {"tensorrt", "tensorrt_rtx", "cuda", "pynvml", "dvclive", "huggingface_hub"}


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in PACKAGES for path in sorted(Path(package).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imported(module: str, everywhere: bool = True) -> Iterator[str]:
    """Full names that a module imports; at module level only if not ``everywhere`` (TYPE_CHECKING left out)."""
    for node in ast.walk(TREES[module]) if everywhere else module_level(TREES[module].body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{MODULES[module]}: imports are absolute here"
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                yield member if member in MODULES else str(node.module)


def module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from module_level(getattr(node, part, []))


def top(name: str) -> str:
    return name.partition(".")[0]


def test_the_walk_sees_the_house() -> None:
    assert {"pipeline.settings", "deploy", "deploy.runtime.artefact", "stages.distill"} <= MODULES.keys()
    assert "torch" in set(imported("pipeline.mmcv_ops.focal_loss"))
    assert "pipeline.errors" in set(imported("pipeline.cli", everywhere=False))
    assert "pipeline.recipes" in set(imported("pipeline.checkpoints"))
    assert "pipeline.recipes" not in set(imported("pipeline.checkpoints", everywhere=False))


def room(module: str) -> str:
    return next((name for name in ROOMS if f"{module}.".startswith(f"{name}.")), module)


def test_every_folder_of_deploy_is_a_room() -> None:
    assert {path.parent.name for path in Path("deploy").glob("*/__init__.py")} == {
        name.removeprefix("deploy.") for name in ROOMS if name.startswith("deploy.")
    }
    assert {name for name in MODULES if top(name) == "deploy" and room(name) not in ROOMS} == {"deploy", *DOORS}


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in ROOMS])
def test_a_room_imports_only_what_is_below_it(module: str) -> None:
    known = {room(name) for name in imported(module) if top(name) in PACKAGES} - {"deploy"}
    assert known <= ROOMS[room(module)] | {room(module)}


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in RUN_TIME])
def test_what_runs_an_artefact_needs_nothing_of_the_learning_side(module: str) -> None:
    assert not {name for name in imported(module) if top(name) in LEARNING_SIDE}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_only_opens(door: str) -> None:
    statements = [type(node).__name__ for node in TREES[door].body]
    assert statements == ["Expr", "ImportFrom", "If"]


def test_the_learning_side_never_imports_tensorrt() -> None:
    guilty = {
        name: found
        for name in MODULES
        if top(name) in ("pipeline", "stages")
        if (found := [other for other in imported(name) if top(other).startswith("tensorrt")])
    }
    assert not guilty


def test_only_stages_know_stages() -> None:
    assert not [name for name in MODULES if top(name) != "stages" and any(top(i) == "stages" for i in imported(name))]


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {name: {other for other in imported(name) if other in MODULES} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("modules import each other: " + " → ".join(error.args[1]))


@pytest.mark.parametrize("stage", [name for name in MODULES if name.startswith("stages.")])
def test_a_stage_is_one_short_main(stage: str) -> None:
    assert len(MODULES[stage].read_text(encoding="utf-8").splitlines()) <= LONGEST_STAGE
    defined = [n.name for n in ast.walk(TREES[stage]) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert defined == ["main"], f"{MODULES[stage]}: logic belongs to pipeline/ or deploy/"
    assert ast.get_docstring(TREES[stage])


def test_names_say_what_is_inside() -> None:
    files = [path for folder in (*PACKAGES, "tests", "benchmarks", "configs") for path in Path(folder).rglob("*")]
    assert not [str(path) for path in files if path.stem.removeprefix("test_") in NAMES_THAT_SAY_NOTHING]


def test_one_name_means_one_module() -> None:
    # Errors are the one thing that both sides have; a stage and a door are called as what they open.
    inside = [name.rpartition(".")[2] for name in MODULES if top(name) != "stages" and name not in DOORS]
    modules = [name for name in inside if name not in PACKAGES and name not in OF_BOTH_SIDES]
    folders = {path.parent.name for package in PACKAGES for path in Path(package).rglob("__init__.py")}
    assert sorted(name for name in set(modules) - folders if modules.count(name) > 1) == []


def functions() -> Iterator[tuple[str, int]]:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{MODULES[name]}: {node.name}", int(node.end_lineno or 0) - code_begins(node) + 1


def code_begins(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = ast.get_docstring(node) is not None and len(node.body) > 1
    return node.body[1].lineno if documented else node.lineno


def test_functions_stay_short() -> None:
    assert not {name: length for name, length in functions() if length > LONGEST_FUNCTION}


def test_files_stay_small() -> None:
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES.values()}
    assert not {path: length for path, length in lengths.items() if length > LONGEST_FILE}


PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = [
    line
    for line in Path("requirements.lock").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def normalised(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[@]", requirement, maxsplit=1)[0]).lower()


PINS = {normalised(line): line.partition("==")[2] for line in LOCK if "==" in line}


def third_party() -> set[str]:
    names = {top(other) for name in MODULES for other in imported(name)} - {*sys.stdlib_module_names, *PACKAGES}
    return {normalised(DISTRIBUTION.get(name, name)) for name in names - OPTIONAL}


def test_imports_and_declared_dependencies_are_the_same() -> None:
    declared = {normalised(line) for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cpu"]]}
    assert third_party() - declared == set(), "add them to pyproject.toml and run `make lock`"
    unseen = {"dvc", "ruamel-yaml-clib"}  # a command, and what makes it fast
    assert declared - third_party() - unseen == set(), "nothing imports them: remove them and run `make lock`"


def test_the_lock_pins_every_direct_dependency_exactly() -> None:
    extras = PROJECT["optional-dependencies"]
    direct = {normalised(line) for line in [*PROJECT["dependencies"], *extras["cpu"], *extras["dev"]]}
    assert not direct - PINS.keys()
    assert [line for line in LOCK if "==" not in line] == ["./requirements/opencv-python"]


def test_the_lock_knows_no_host_and_no_machine() -> None:
    assert not [line for line in LOCK if re.search(r"://|@|file:|^-|\+", line)]


def test_only_the_headless_opencv_provides_cv2() -> None:
    stand_in = tomllib.loads(Path("requirements/opencv-python/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert stand_in["version"] == PINS["opencv-python-headless"]
    assert stand_in["dependencies"] == [f"opencv-python-headless=={PINS['opencv-python-headless']}"]
    assert importlib.metadata.packages_distributions()["cv2"] == ["opencv-python-headless"]
