from pathlib import Path

import pytest

from pipeline.errors import CheckpointError, PipelineError
from pipeline.guides import check_guide, write_guides
from pipeline.layout import TEACHER, accepted_file, guide_file, recipe_file, weights_file
from pipeline.recipes import ResolvedRecipe, write_resolved
from pipeline.records import Guide, RecipeOrigin
from pipeline.storage import sha256_of, write_atomic
from tests.pipeline.minimal_recipe import CONFIG


def resolved(rate: float, methods: list[str]) -> ResolvedRecipe:
    distillation = {"methods": [{"type": method} for method in methods]}
    content = {"classes": ["a"], "config": {**CONFIG, "optim_wrapper": {"rate": rate}, "distillation": distillation}}
    return ResolvedRecipe(content, RecipeOrigin(path="r.py", published={}))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_resolved(recipe_file(TEACHER), resolved(0.1, []))
    write_resolved(recipe_file("twin"), resolved(0.1, []))
    write_resolved(recipe_file("student"), resolved(0.1, ["CrossKD"]))
    accept(b"weights")
    write_guides(["twin", "student"])
    return tmp_path


def accept(weights: bytes) -> None:
    write_atomic(weights_file(TEACHER), weights)
    write_atomic(accepted_file(TEACHER), sha256_of(weights_file(TEACHER)) + "\n")


def test_another_teacher_changes_the_guide_of_a_student_and_not_the_twins(project: Path) -> None:
    before = {name: guide_file(name).read_bytes() for name in ("twin", "student")}
    accept(b"other weights")
    write_guides(["twin", "student"])
    assert guide_file("twin").read_bytes() == before["twin"]
    assert guide_file("student").read_bytes() != before["student"]
    assert Guide.read(guide_file("twin")) == Guide(weights_sha256=None, recipe_sha256=None)
    assert Guide.read(guide_file("student")).weights_sha256 == sha256_of(weights_file(TEACHER))


def test_another_recipe_of_the_teacher_changes_the_guide_too(project: Path) -> None:
    before = Guide.read(guide_file("student"))
    write_resolved(recipe_file(TEACHER), resolved(0.2, []))
    with pytest.raises(CheckpointError, match="dvc repro guides"):
        check_guide("student")
    write_guides(["twin", "student"])
    assert Guide.read(guide_file("student")).recipe_sha256 != before.recipe_sha256


@pytest.mark.parametrize("weights", [b"not accepted", None])
def test_a_teacher_that_was_not_accepted_is_refused(project: Path, weights: bytes | None) -> None:
    check_guide("student")
    weights_file(TEACHER).unlink()
    if weights:
        write_atomic(weights_file(TEACHER), weights)
    check_guide("twin")
    with pytest.raises(CheckpointError, match=r"not the teacher that build/guides/student\.json names"):
        check_guide("student")


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_without_an_accepted_teacher_nobody_is_guided(project: Path, content: bytes | None) -> None:
    accepted_file(TEACHER).unlink()
    if content is not None:
        accepted_file(TEACHER).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"models/teacher\.accepted: .*run `dvc repro evaluate_teacher`"):
        write_guides(["twin", "student"])


def test_a_student_without_a_guide_is_named(project: Path) -> None:
    with pytest.raises(PipelineError, match=r"build/guides/other\.json: no such record"):
        check_guide("other")
