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
# The half of deploy/ that makes artefacts and measures them; all the rest of it loads and runs them.
TORCH_HALF = {
    "deploy.backends.pytorch",
    "deploy.calibration",
    "deploy.decoding",
    "deploy.detector",
    "deploy.differences",
    "deploy.engine",
    "deploy.export",
    "deploy.fastest",
    "deploy.export_check",
    "deploy.ladder",
    "deploy.layer_search",
    "deploy.nms",
    "deploy.portable",
    "deploy.precision",
    "deploy.quantisation",
    "deploy.raw_export",
    "deploy.roi_align",
    "deploy.swin",
    "deploy.translations",
    "deploy.triton",
    "deploy.two_stage",
    "deploy.validation_slice",
}
LEARNING_SIDE = {"torch", "torchvision", "mmengine", "mmcv", "mmdet", "pipeline", "stages", "pydantic", "pycocotools"}
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "v2"}
LONGEST_FILE = 300
LONGEST_STAGE = 60
# Import names that differ from the name on the package index.
DISTRIBUTION = {
    "PIL": "pillow",
    "cpuinfo": "py-cpuinfo",
    "cv2": "opencv-python-headless",
    "faster_coco_eval": "faster-coco-eval",
    "mmcv": "mmcv-lite",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
OPTIONAL = {"tensorrt", "tensorrt_rtx", "cuda", "pynvml"}


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
    assert {"pipeline.settings", "deploy", "deploy.artefact", "stages.distill"} <= MODULES.keys()
    assert "torch" in set(imported("pipeline.mmcv_ops"))
    assert "pipeline.errors" in set(imported("pipeline.cli", everywhere=False))
    assert "pipeline.recipes" in set(imported("pipeline.checkpoints"))
    assert "pipeline.recipes" not in set(imported("pipeline.checkpoints", everywhere=False))
    assert MODULES.keys() >= TORCH_HALF


@pytest.mark.parametrize("module", [name for name in MODULES if top(name) == "deploy" and name not in TORCH_HALF])
def test_the_run_time_half_knows_nothing_of_the_learning_side(module: str) -> None:
    foreign = {name for name in imported(module) if top(name) in LEARNING_SIDE or name in TORCH_HALF}
    assert not foreign, f"{MODULES[module]} belongs to the run-time half of deploy/ and imports {sorted(foreign)}"


@pytest.mark.parametrize("module", sorted(TORCH_HALF))
def test_the_torch_half_needs_its_place_there(module: str) -> None:
    assert {name for name in imported(module) if top(name) in LEARNING_SIDE or name in TORCH_HALF}


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
    assert declared - third_party() - {"dvc"} == set(), "nothing imports them: remove them and run `make lock`"


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
