"""What dvc.yaml promises: a stage is run again when, and only when, something that decides its result has changed."""

import ast
import functools
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import pytest
import yaml

from pipeline import layout
from pipeline.layout import TEACHER
from pipeline.recipe_settings import BudgetSettings
from pipeline.settings import DECISIVE, HARMLESS, PROCESSES, TrainSettings
from pipeline.training.fingerprint import CODE

PACKAGES = ("pipeline", "stages", "deploy")
GENERATED = ("data/", "build/", "models/", "artefacts/", "reports/")

# Modules that no stage needs to depend on, each by its exact name.
NEVER_CHANGE_A_RESULT = {
    "pipeline.__init__": "only puts the finder of mmcv's operators in place",
    "deploy.graph.__init__": "the same",
    "deploy.__init__": "offers `deploy.load` to users; no stage calls it",
    "pipeline.mmcv_extension": "only offers pipeline.mmcv_ops to mmcv",
    "pipeline.errors": "messages of runs that fail, and so have no result",
    "deploy.runtime.errors": "the same",
    "deploy.runtime.commands": "says how a command ends that has failed",
    "deploy.runtime.file_lock": "refuses a second process",
    "pipeline.one_at_a_time": "the same",
    "deploy.runtime.regular_files": "refuses what is no file",
    "deploy.runtime.image_headers": "refuses images by their size, before they are decoded",
    "deploy.runtime.printable": "how names look on a terminal",
    "deploy.runtime.resources": "how many cores and how much memory this process may use, the machine's business",
    "deploy.runtime.scratch": "gives empty folders to write into",
    "deploy.runtime.text_files": "reads text as it stands, or refuses the file",
    "deploy.runtime.split": "reads the lists of data/prepared, a dependency, as they are, or refuses the file",
    "pipeline.gates": "the same; what is held against a limit is computed elsewhere",
    "pipeline.cli": "prints those messages",
    "pipeline.chain": "says how much of the chain is left",
    "pipeline.stage_times": "the same",
    "pipeline.launcher": "starts the processes of a training; how many is a setting",
    "pipeline.layout": "paths; the test of the outs below holds them against dvc.yaml",
    "pipeline.records": "shapes of the JSON files; a reader of another shape refuses the file",
    "pipeline.deploy_records": "the same",
    "pipeline.operating_point_records": "the same",
    "pipeline.detection_error_records": "the same",
    "pipeline.shipping_records": "the same",
    "pipeline.label_records": "the same",
    "pipeline.recipe_records": "the same",
    "pipeline.training_records": "the same",
    "pipeline.settings": "checks params.yaml, whose values are dependencies themselves",
    "pipeline.dataset_settings": "the same",
    "pipeline.recipe_settings": "the same",
    "pipeline.deploy_settings": "the same",
    "pipeline.label_settings": "the same",
    "pipeline.report_settings": "the same",
    "pipeline.setting_types": "the same",
    "pipeline.setting_findings": "words what is wrong with them",
    "pipeline.strict_yaml": "the same",
    "pipeline.yaml_limits": "the same",
    "pipeline.storage": "writes what it is given, in one step",
    "pipeline.downloads": "delivers content of a given hash or fails",
    "pipeline.transfers": "the same",
    "pipeline.slow_connections": "the same",
    "pipeline.datasets.prepared": "finds the files that data/prepared, a dependency, lists",
    "pipeline.mmengine_packages": "finds what resolved recipes inherit",
    "pipeline.recipes.__init__": "only offers the following",
    "pipeline.recipes.building": "the recipe is a dependency, and mmdet builds the model",
    "pipeline.recipes.recipe": "reads what pipeline.recipes.resolving made; reading it back loses nothing",
    "pipeline.recipes.tuples": "the same",
    "pipeline.recipes.nested_datasets": "says where in a resolved recipe, a dependency, its data set and steps are",
    "pipeline.recipes.hook_clocks": "the same of when its hooks act",
    "pipeline.recipes.consistency": "refuses recipes",
    "pipeline.recipes.honoured": "the same",
    "pipeline.recipes.registered": "the same",
    "pipeline.recipes.shape": "the same",
    "pipeline.recipes.resolving": "makes the resolved recipes, which are dependencies. Depending on it would train "
    "everything again for a new error message",
    "pipeline.recipes.plain_settings": "the same",
    "pipeline.recipes.batch_size": "the same",
    "pipeline.recipes.clock": "the same",
    "pipeline.recipes.input_size": "the same",
    "pipeline.recipes.load_from": "the same",
    "pipeline.recipes.length": "the same",
    "pipeline.recipes.width": "the same",
}
# What makes the very files that a stage is there for; elsewhere they are among the above.
MAKERS = {
    "data": {"pipeline.downloads", "pipeline.datasets.prepared"},
    "recipes": {
        "pipeline.mmengine_packages",
        "pipeline.recipes.__init__",
        "pipeline.recipes.batch_size",
        "pipeline.recipes.building",
        "pipeline.recipes.clock",
        "pipeline.recipes.consistency",
        "pipeline.recipes.honoured",
        "pipeline.recipes.hook_clocks",
        "pipeline.recipes.input_size",
        "pipeline.recipes.length",
        "pipeline.recipes.load_from",
        "pipeline.recipes.nested_datasets",
        "pipeline.recipes.plain_settings",
        "pipeline.recipes.recipe",
        "pipeline.recipes.registered",
        "pipeline.recipes.shape",
        "pipeline.recipes.resolving",
        "pipeline.recipes.tuples",
        "pipeline.recipes.width",
    },
}
HELD_IN_COLUMNS = {
    "deploy.runtime.detection_columns": "holds what pipeline.evaluation reads; detections are joined elsewhere",
    "deploy.runtime.detections": "the same",
}
# What a stage imports and does not run, or runs without a trace in its result: a module, or a package with ``.*``.
NOT_USED_BY = {
    "data": {"pipeline.mmcv_ops.*": "no detector"},
    "recipes": {
        "pipeline.mmcv_ops.*": "the same; a detector runs on paper",
        **dict.fromkeys(
            (
                *(
                    "deploy.graph.*",
                    "deploy.runtime.*",
                    "pipeline.checkpoints",
                    "pipeline.complexity",
                    "pipeline.compute",
                    "pipeline.detectors.*",
                    "pipeline.pickled_weights",
                ),
                *("pipeline.distillers.*", "pipeline.evaluation.*", "pipeline.training.*", "pipeline.weight_sources"),
            ),
            "builds and runs every recipe once, or refuses it; what is written does not depend on it",
        ),
    },
    "teacher": {
        **HELD_IN_COLUMNS,
        "pipeline.detectors.*": "for methods, which a teacher is trained without; the others are dependencies",
        "pipeline.distillers.*": "the same; the distiller itself is a dependency",
        "pipeline.evaluation.*": "but for the bootstrap all of it, and that is a dependency",
    },
    "distill": {
        **HELD_IN_COLUMNS,
        "pipeline.evaluation.*": "but for the bootstrap all of it, and that is a dependency",
        "pipeline.weight_sources": "delivers backbone weights of a given hash or fails",
    },
    "evaluate": {
        "pipeline.detectors.*": "only which kind a detector is; a wrong kind cannot run",
    },
    "label": {
        "pipeline.detectors.*": "only which kind a detector is; a wrong kind cannot run",
        "pipeline.evaluation.*": "but for the bootstrap all of it, and that is a dependency",
    },
    "export": {
        "pipeline.mmcv_ops.*": "boxes are decoded and suppressed by deploy/, not by mmdet",
        "pipeline.detectors.*": "only which kind a detector is, and that is a dependency",
    },
    "precision": {
        "pipeline.mmcv_ops.*": "the artefact runs without mmdet",
        "pipeline.evaluation.*": "but for the bootstrap all of it, and that is a dependency",
    },
    "engine": {"pipeline.mmcv_ops.*": "no detector"},
    "benchmark": {"pipeline.mmcv_ops.*": "the artefact runs without mmdet"},
    "compare": {"pipeline.mmcv_ops.*": "the artefacts run without mmdet"},
    "choose": {
        "pipeline.mmcv_ops.*": "the artefacts run without mmdet",
        "pipeline.evaluation.*": "but for the bootstrap all of it, and that is a dependency",
    },
    "report": {
        **HELD_IN_COLUMNS,
        "pipeline.mmcv_ops.*": "no detector",
        "deploy.runtime.engine_file": "an engine's record names its target by a class of it",
        "deploy.runtime.onnx_file": "the same",
        "deploy.runtime.oldest_versions": "the same",
        "deploy.runtime.onnx_tensors": "the same",
        "deploy.runtime.protobuf": "the same",
    },
}
NOT_USED_BY["evaluate_teacher"] = NOT_USED_BY["evaluate_twin"] = NOT_USED_BY["evaluate"]
NOT_USED_BY["train"] = {
    **NOT_USED_BY["teacher"],
    "pipeline.weight_sources": NOT_USED_BY["distill"]["pipeline.weight_sources"],
}
# Of pipeline/evaluation, what measures accuracy without an interval.
ACCURACY = {
    f"pipeline.evaluation.{name}" for name in ("accuracy", "box_overlaps", "coco_matching", "coco_numbers", "inputs")
}
# The one module of a package above that a stage depends on all the same.
NEEDED = {
    "label": {f"pipeline.evaluation.{name}" for name in ("box_overlaps", "coco_matching", "inputs", "operating_point")},
    "teacher": {
        "pipeline.detectors.class_layers",
        "pipeline.detectors.faster_rcnn",
        "pipeline.detectors.flow",
        "pipeline.detectors.pyramid",
        "pipeline.detectors.recorder",
        "pipeline.distillers.distiller",
        *ACCURACY,
    },
    "distill": ACCURACY,
    "export": {"pipeline.detectors.kinds"},
    "precision": ACCURACY,
    "choose": ACCURACY,
}
NEEDED["train"] = NEEDED["teacher"]


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml; ``item`` is the model of a ``foreach`` stage."""

    name: str
    item: str | None
    content: Mapping[str, Any]

    @property
    def module(self) -> str:
        python, option, module, *_ = self.content["cmd"].split()
        assert (python, option) == ("python", "-m")
        return str(module)

    @property
    def deps(self) -> list[str]:
        return list(self.content.get("deps", []))

    @property
    def outs(self) -> list[str]:
        entries = [entry for kind in ("outs", "metrics", "plots") for entry in self.content.get(kind, [])]
        return [next(iter(entry)) if isinstance(entry, dict) else str(entry) for entry in entries]

    @property
    def params(self) -> list[str]:
        return list(self.content.get("params", []))


def read_yaml(path: str) -> Any:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


PARAMS = read_yaml("params.yaml")
TRAINED = [*PARAMS["twins"], *PARAMS["students"]]


def stages() -> Iterator[Stage]:
    for name, content in read_yaml("dvc.yaml")["stages"].items():
        if "foreach" not in content:
            yield Stage(name, None, content)
            continue
        items: Any = PARAMS
        for key in content["foreach"].removeprefix("${").removesuffix("}").split("."):
            items = items[key]
        variable = "${key}" if isinstance(items, dict) else "${item}"
        for item in items:
            text = yaml.safe_dump(content["do"]).replace(variable, item)
            assert "${" not in text
            yield Stage(name, item, yaml.safe_load(text))


STAGES = {f"{stage.name}@{stage.item}" if stage.item else stage.name: stage for stage in stages()}
DISTIL = [stage for stage in STAGES.values() if stage.name == "distill"]
TRAIN = [stage for stage in STAGES.values() if stage.name == "train"]


def named(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


FILES = {named(path): path for package in PACKAGES for path in sorted(Path(package).rglob("*.py"))}


DOTTED = {name for name in FILES if "." in name}


def importable(name: str) -> str | None:
    """The file behind an imported name, in dots; a package is its ``__init__``."""
    return name if name in FILES else f"{name}.__init__" if f"{name}.__init__" in FILES else None


def running(nodes: Iterable[ast.AST], everywhere: bool) -> Iterator[ast.AST]:
    """All nodes but those for the type checker; function bodies only if ``everywhere``."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef) and not everywhere:
            continue
        yield node
        yield from running(ast.iter_child_nodes(node), everywhere)


@functools.cache
def imports(module: str) -> frozenset[str]:
    names: set[str] = set()
    # Functions of a package's __init__ are for users of the package.
    everywhere = not module.endswith(".__init__")
    for node in running(ast.parse(FILES[module].read_text(encoding="utf-8")).body, everywhere):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {node.value} & DOTTED  # modules that are imported, or run, by their name
    packages = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    return frozenset(found for name in names | packages if (found := importable(name)))


@functools.cache
def closure(module: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += imports(current)
    return frozenset(seen)


@functools.cache
def has_code(module: str) -> bool:
    return any(not isinstance(node, ast.Expr) for node in ast.parse(FILES[module].read_text(encoding="utf-8")).body)


@functools.cache
def covers(entry: str, path: str | Path) -> bool:
    """Whether ``entry`` is ``path`` or a folder above it."""
    return PurePosixPath(path).is_relative_to(entry)


def matches(module: str, pattern: str) -> bool:
    return module == pattern or (pattern.endswith(".*") and module.startswith(pattern[:-1]))


@functools.cache
def needed(name: str, program: str) -> frozenset[str]:
    """The files whose code decides the result of a stage of this name, which runs this module."""
    makers, kept = MAKERS.get(name, set()), NEEDED.get(name, set())
    skipped = {module for module in NEVER_CHANGE_A_RESULT if module not in makers}
    patterns = NOT_USED_BY.get(name, {})
    return frozenset(
        FILES[module].as_posix()
        for module in closure(program)
        if has_code(module) and module not in skipped
        if module in kept or not any(matches(module, pattern) for pattern in patterns)
    )


def is_code(entry: str) -> bool:
    return entry.startswith(tuple(f"{package}/" for package in PACKAGES))


def declared(stage: Stage) -> set[str]:
    """The keys of params.yaml that the code of a stage can read; :meth:`pipeline.settings.Params.only` hides others."""
    module = importlib.import_module(stage.module)
    if stage.module == "stages.evaluate":
        return {*(module.OF_TEACHER if stage.item is None else module.OF_STUDENT)}
    return {*getattr(module, "PARAMS", ())}


def read(stage: Stage) -> set[str]:
    """The data that a stage reads: files of pipeline/layout.py, and what is in the repository."""
    model = stage.item or TEACHER
    recipe = layout.recipe_file(model)
    weights = layout.weights_file(model).parent
    shipped = [layout.artefact_file(model, precision) for precision in ("fp32", "fp16", "int8", "int8_symmetric")]
    device, (evaluation, detections) = layout.DEVICE, (layout.REPORTS / name for name in ("evaluation", "detections"))
    files: dict[str, set[str | Path]] = {
        "surroundings": set(),
        "data": {layout.SOURCE_FILES},
        "recipes": {"configs", layout.DATASET_RECORD},
        "teacher": {recipe, layout.DATASET},
        "evaluate": {recipe, layout.origin_file(recipe), weights, layout.DATASET},
        "train": {recipe, layout.DATASET},
        "label": {
            *(layout.recipe_file(TEACHER), layout.origin_file(layout.recipe_file(TEACHER)), layout.DATASET),
            *(layout.weights_file(TEACHER).parent, layout.accepted_file(TEACHER)),
        },
        "distill": {
            *(recipe, layout.recipe_file(TEACHER), layout.accepted_file(TEACHER), layout.DATASET, layout.LABELS),
        },
        "export": {
            *(recipe, layout.origin_file(recipe), weights, layout.DATASET),
            layout.report_file("operating_point", model),
        },
        "precision": {shipped[0], layout.DATASET},
        "engine": {shipped[0], shipped[1], shipped[3], device},
        "benchmark": {
            *shipped,
            layout.engine_dir(model),
            evaluation / f"{model}.json",
            detections / f"{model}.json",
            device,
            layout.DATASET,
        },
        "compare": {layout.ARTEFACTS, layout.REPORTS / "benchmark", device, layout.DATASET},
        "choose": {layout.ARTEFACTS, layout.REPORTS / "benchmark", layout.COMPARISON, layout.DATASET},
        "report": {
            layout.RECIPES,
            *(
                layout.REPORTS / name
                for name in ("operating_point", "errors", "export", "precision", "engine", "benchmark")
            ),
            *(evaluation, detections, device, layout.COMPARISON, layout.CHOSEN, layout.MODELS, layout.DATASET),
        },
    }
    files["evaluate_teacher"] = files["evaluate_twin"] = files["evaluate"]
    return {Path(file).as_posix() for file in files[stage.name]}


def problems(stage: Stage) -> list[str]:
    """What is wrong with the dependencies and the params of a stage: too few, too many, or one twice."""
    if stage.content.get("always_changed"):
        return [f"{stage.name}: runs every time, and depends on {entry}" for entry in (*stage.deps, *stage.params)]
    code, data = [e for e in stage.deps if is_code(e)], {e for e in stage.deps if not is_code(e)}
    files = needed(stage.name, stage.module)
    covering = {file: [entry for entry in code if covers(entry, file)] for file in files}
    found = [
        f"depends on {len(entries)} of {file}: {entries}" for file, entries in covering.items() if len(entries) != 1
    ]
    found += [
        f"depends on {entry}, which it does not run" for entry in code if not any(covers(entry, f) for f in files)
    ]
    found += [f"{entry}: reads or depends, and not both" for entry in data ^ read(stage)]
    found += [f"params: {key}: reads or lists, and not both" for key in {*stage.params} ^ declared(stage)]
    return [f"{stage.name}: {problem}" for problem in found]


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_a_stage_depends_on_what_decides_its_result_and_on_nothing_else(stage: Stage) -> None:
    assert problems(stage) == []


def without(stage: Stage, kind: str, entry: str) -> Stage:
    kept = [other for other in stage.content[kind] if other != entry]
    return replace(stage, content={**stage.content, kind: kept})


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_no_dependency_and_no_setting_can_be_dropped_unseen(stage: Stage) -> None:
    removals = [without(stage, kind, entry) for kind in ("deps", "params") for entry in stage.content.get(kind, [])]
    assert [mutant for mutant in removals if not problems(mutant)] == []
    assert len(removals) == len(stage.deps) + len(stage.params)


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_no_dependency_and_no_setting_can_be_added_unseen(stage: Stage) -> None:
    for kind, more in (("deps", "pipeline/downloads.py"), ("deps", "datasets/README.md"), ("params", "report.images")):
        assert problems(replace(stage, content={**stage.content, kind: [*stage.content.get(kind, []), more]}))


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_no_exception_is_out_of_date(stage: Stage) -> None:
    modules = closure(stage.module)
    patterns = [*NOT_USED_BY.get(stage.name, {}), *NEEDED.get(stage.name, ()), *MAKERS.get(stage.name, ())]
    assert [pattern for pattern in patterns if not any(matches(module, pattern) for module in modules)] == []


def test_no_global_exception_is_out_of_date() -> None:
    used = {module for stage in STAGES.values() for module in closure(stage.module)}
    assert NEVER_CHANGE_A_RESULT.keys() <= used


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_a_stage_takes_from_the_settings_only_what_it_declares(stage: Stage) -> None:
    module = importlib.import_module(stage.module)
    if hasattr(module, "PARAMS"):
        source = FILES[stage.module].read_text(encoding="utf-8")
        assert source.count("load_params(") == source.count(".only(*") == 1
    else:
        assert not stage.params


def test_what_a_stage_may_read_besides_decides_nothing() -> None:
    for stage in STAGES.values():
        module = importlib.import_module(stage.module)
        assert {*getattr(module, "UNTRACKED", ())} <= {"data", "twins", "students", *HARMLESS}


def test_the_fingerprint_of_a_killed_training_covers_what_training_depends_on() -> None:
    around = {"stages/distill.py", "pipeline/student.py"}
    for stage in DISTIL:
        code = {entry for entry in stage.deps if entry.startswith("pipeline/")}
        assert code - around == set(CODE)


@pytest.mark.parametrize("stage", DISTIL + TRAIN)
def test_training_ignores_settings_of_what_follows(stage: Stage) -> None:
    foreign = ("evaluate", "export", "precision", "benchmark", "report", "gates")
    assert not [param for param in stage.params if param.split(".")[0] in foreign]
    assert not [entry for entry in stage.deps if entry.startswith("deploy")]


@pytest.mark.parametrize("stage", DISTIL)
def test_a_student_depends_on_its_own_recipe_and_on_no_other_students(stage: Stage) -> None:
    recipes = {entry for entry in stage.deps if entry.startswith(str(layout.RECIPES))}
    assert recipes == {str(layout.recipe_file(model)) for model in (str(stage.item), TEACHER)}
    others = [entry for other in DISTIL if other is not stage for entry in other.outs]
    assert not [entry for entry in stage.deps for other in others if covers(entry, other) or covers(other, entry)]
    # Not the teacher's evaluation record, which a new bootstrap changes.
    taught = [layout.report_file("evaluation", TEACHER), layout.weights_file(TEACHER)]
    assert not [entry for entry in stage.deps if any(covers(entry, path) for path in taught)]


@pytest.mark.parametrize("stage", TRAIN)
def test_a_twin_waits_for_no_teacher(stage: Stage) -> None:
    assert {other.name for other in before(stage)} == {"surroundings", "data", "recipes"}


def test_every_setting_of_training_decides_or_is_harmless() -> None:
    harmless = [key.removeprefix("train.") for key in HARMLESS]
    # What changes the recipe decides through the stage that resolves it.
    assert sorted((*DECISIVE, *PROCESSES, *harmless, *BudgetSettings.model_fields)) == sorted(
        TrainSettings.model_fields
    )


def before(stage: Stage) -> list[Stage]:
    """All stages whose results a stage builds on."""
    found: list[Stage] = []
    waiting = [stage]
    while waiting:
        deps = waiting.pop().deps
        for other in STAGES.values():
            if other not in found and any(covers(d, out) or covers(out, d) for d in deps for out in other.outs):
                found.append(other)
                waiting.append(other)
    return found


@pytest.mark.parametrize("stage", [stage for stage in STAGES.values() if stage.name == "benchmark"])
def test_nothing_before_a_benchmark_reads_its_settings(stage: Stage) -> None:
    earlier = before(stage)
    of_model = {"teacher", "evaluate_teacher"}
    if stage.item != TEACHER:
        of_model = {"train", "evaluate_twin"} if stage.item in PARAMS["twins"] else {*of_model, "distill", "evaluate"}
    expected = {"data", "recipes", "export", "precision", "surroundings", *of_model}
    assert expected <= {other.name for other in earlier}
    read = [param for other in earlier for param in other.params]
    assert not [param for param in read if param.startswith(("benchmark", "gates.benchmark", "report"))]


@pytest.mark.parametrize("stage", [stage for stage in STAGES.values() if stage.name == "precision"])
def test_a_precision_setting_exports_nothing_again(stage: Stage) -> None:
    earlier = before(stage)
    assert {"export", "data"} <= {other.name for other in earlier}
    assert not [param for other in earlier for param in other.params if param.startswith(("precision", "benchmark"))]


def leaves(content: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield from leaves(value, f"{above}{key}.") if isinstance(value, dict) and value else [f"{above}{key}"]


def covers_key(param: str, key: str) -> bool:
    return f"{key}.".startswith(f"{param}.")


@pytest.mark.parametrize("leaf", list(leaves(PARAMS)))
def test_every_setting_is_read_by_a_stage(leaf: str) -> None:
    listed = [*HARMLESS, *(param for stage in STAGES.values() for param in stage.params)]
    assert any(covers_key(param, leaf) for param in listed)


def test_a_corrected_published_number_trains_nothing() -> None:
    readers = [name for name, s in STAGES.items() if any(covers_key(key, "teacher.published_ap") for key in s.params)]
    assert readers == ["evaluate_teacher"]


@pytest.mark.parametrize("stage", STAGES.values())
def test_a_stage_names_settings_that_exist(stage: Stage) -> None:
    known = list(leaves(PARAMS))
    assert not [param for param in stage.params if not any(covers_key(param, leaf) for leaf in known)]


def test_every_generated_dependency_is_made_by_one_stage() -> None:
    made = [out for stage in STAGES.values() for out in stage.outs]
    assert len(made) == len(set(made))
    for stage in STAGES.values():
        for entry in stage.deps:
            if f"{entry}/".startswith(GENERATED):
                assert any(covers(entry, out) or covers(out, entry) for out in made), f"{stage.name}: {entry}"


def written(stage: Stage) -> set[Path]:
    """The paths of pipeline/layout.py that a stage writes."""
    model = stage.item or TEACHER
    evaluation = {layout.report_file(name, model) for name in ("evaluation", "operating_point", "errors", "detections")}
    trained = {layout.weights_file(model), layout.training_file(model)}
    curves = {layout.losses_file(model), layout.validation_file(model)}
    return {
        "surroundings": {layout.DEVICE, layout.SOURCE_FILES},
        "data": {layout.DATASET, layout.DATASET_RECORD},
        "recipes": {layout.RECIPES, layout.recipe_file(TEACHER), *map(layout.recipe_file, TRAINED)},
        "teacher": trained | curves,
        "label": {layout.LABELS, layout.LABELS_RECORD, layout.PSEUDO_LABELS},
        "evaluate_teacher": evaluation | {layout.accepted_file(model)},
        "train": trained | curves,
        "distill": trained | curves,
        "evaluate_twin": evaluation,
        "evaluate": evaluation,
        "export": {layout.artefact_file(model), layout.report_file("export", model)},
        "precision": {
            layout.report_file("precision", model),
            *(layout.artefact_file(model, precision) for precision in ("fp16", "int8", "int8_symmetric")),
        },
        "engine": {layout.engine_dir(model), layout.report_file("engine", model)},
        "benchmark": {layout.report_file("benchmark", model)},
        "compare": {layout.COMPARISON},
        "choose": {layout.CHOSEN},
        "report": {
            *(layout.REPORTS / name for name in ("report.md", "report.html", "figures", "cards")),
            *(layout.METRICS, layout.SUMMARY, layout.PRECISION_RECALL, layout.TRADE_OFF),
        },
    }[stage.name]


@pytest.mark.parametrize("stage", STAGES.values())
def test_what_a_stage_writes_is_an_out_of_it(stage: Stage) -> None:
    assert not [path for path in written(stage) if not any(covers(out, path) for out in stage.outs)]
    assert not [out for out in stage.outs if not any(covers(out, path) for path in written(stage))]


def test_no_path_of_the_layout_is_forgotten_here() -> None:
    # Folders that hold several stages' results, and scratch that belongs to none.
    shared = {"CACHE", "CHOICE", "TIMING_CACHES", "WORK_DIRS", "TRACKING", "RUNNING", "MODELS", "ARTEFACTS", "REPORTS"}
    shared |= {"TEACHER", "STAGE_TIMES"}
    outs = {
        "CHOSEN",
        "COMPARISON",
        "METRICS",
        "SUMMARY",
        "PRECISION_RECALL",
        "TRADE_OFF",
        "CARDS",
        "DEVICE",
        "SOURCE_FILES",
        "DATASET",
        "DATASET_RECORD",
        "LABELS",
        "LABELS_RECORD",
        "PSEUDO_LABELS",
        "RECIPES",
        "recipe_file",
        "origin_file",
        "weights_file",
        "training_file",
        "losses_file",
    }
    outs |= {"validation_file", "accepted_file", "artefact_file", "card_file", "engine_dir", "report_file"}
    public = {
        name
        for name, value in vars(layout).items()
        if not name.startswith("_") and not isinstance(value, ModuleType | type)
    }
    assert public == shared | outs
