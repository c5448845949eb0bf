"""Which teacher every student learns from, as what its training depends on.

A training that depended on the teacher itself would run again for the twin, which has none.
"""

from collections.abc import Iterable

from deploy.runtime.text_files import UnreadableText, read_text
from pipeline.errors import CheckpointError
from pipeline.layout import GUIDES, TEACHER, accepted_file, guide_file, recipe_file, weights_file
from pipeline.recipes import load_resolved
from pipeline.records import Guide
from pipeline.storage import fresh_directory, sha256_of


def write_guides(students: Iterable[str]) -> None:
    """Write the guide of every student, from the resolved recipes and the accepted teacher.

    Raises:
        CheckpointError: no teacher was accepted.
        RecipeError: a resolved recipe is missing.
    """
    path = accepted_file(TEACHER)
    try:
        accepted = read_text(path).strip()
    except UnreadableText as error:
        raise CheckpointError(f"{path}: {error}; run `dvc repro evaluate_teacher` to accept a teacher") from error
    teacher = Guide(weights_sha256=accepted, recipe_sha256=load_resolved(recipe_file(TEACHER)).sha256)
    nobody = Guide(weights_sha256=None, recipe_sha256=None)
    with fresh_directory(GUIDES) as scratch:
        for name in students:
            is_taught = load_resolved(recipe_file(name)).method != "none"
            (teacher if is_taught else nobody).write(scratch / guide_file(name).name)


def check_guide(student: str) -> None:
    """Hold the teacher that is here against the one that a student's training depends on.

    Raises:
        PipelineError: the student has no guide.
        CheckpointError: the teacher is another one, or missing.
    """
    guide = Guide.read(guide_file(student))
    if guide.weights_sha256 is None:
        return
    weights, recipe = weights_file(TEACHER), load_resolved(recipe_file(TEACHER))
    if not weights.exists() or (sha256_of(weights), recipe.sha256) != (guide.weights_sha256, guide.recipe_sha256):
        raise CheckpointError(
            f"{weights}: not the teacher that {guide_file(student)} names; run `dvc repro guides` to accept this one"
        )
