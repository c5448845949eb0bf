"""The stage end to end: without pictures to label, and with the teacher on those of train."""

import json
from pathlib import Path

import pytest
import yaml

from pipeline.checkpoints import save_weights
from pipeline.errors import PipelineError
from pipeline.label_records import LabelRecord
from pipeline.layout import LABELS, LABELS_RECORD, PSEUDO_LABELS, TEACHER, accepted_file, weights_file
from pipeline.recipe_records import RecipeOrigin
from pipeline.recipes import ResolvedRecipe, build_detector, load_resolved, write_resolved
from pipeline.storage import sha256_of, write_atomic
from stages.label import main
from tests.deploy.tiny import CATEGORY_IDS, write_dataset
from tests.pipeline.minimal_recipe import CONFIG
from tests.stages.test_evaluate import MODEL


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root with two pictures in each split."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "data/prepared", [(10, 10, 40, 30), (4, 20, 90, 60)], ("train", "val", "test"))
    return tmp_path


def write_params(**label: object) -> None:
    content = {
        "data": {"name": "coco_dir"},
        "teacher": {"config": "teacher.py"},
        "students": {"small": {"recipe": "small.py"}},
        "train": {"device": "cpu"},
        "export": {"models": ["small"]},
        "benchmark": {"backends": ["onnxruntime"]},
        "label": label,
    }
    Path("params.yaml").write_text(yaml.safe_dump(content))


def test_without_pictures_there_is_an_empty_record_and_no_teacher_is_needed(project: Path) -> None:
    write_params()
    main([])
    assert LabelRecord.read(LABELS_RECORD) == LabelRecord(by=None)
    assert [path.name for path in LABELS.iterdir()] == [LABELS_RECORD.name]


def test_the_teacher_labels_the_pictures_of_train_if_asked(project: Path) -> None:
    classes = [*CATEGORY_IDS]
    recipe = Path("build/recipes/teacher.json")
    model = {**MODEL, "bbox_head": {**MODEL["bbox_head"], "num_classes": len(classes)}}  # type: ignore[dict-item]
    content = {"classes": classes, "config": {**CONFIG, "model": model}}
    write_resolved(recipe, ResolvedRecipe(content, RecipeOrigin(path="teacher.py", published={})))
    save_weights(weights_file(TEACHER), build_detector(load_resolved(recipe)).state_dict(), {})
    write_params(labelled=True, least_score=0.0, flip=True)
    with pytest.raises(SystemExit):  # before its evaluation
        main([])
    write_atomic(accepted_file(TEACHER), sha256_of(weights_file(TEACHER)) + "\n")
    main([])
    record = LabelRecord.read(LABELS_RECORD)
    assert (record.by, record.images, record.flip) == (TEACHER, 2, True)
    assert record.sha256 == sha256_of(weights_file(TEACHER))
    found = json.loads(PSEUDO_LABELS.read_text(encoding="utf-8"))
    assert len(found["images"]) == 2
    assert found["annotations"]
    assert all(box["area"] >= 1 and 0 <= box["score"] <= 1 for box in found["annotations"])


def test_a_broken_run_leaves_earlier_labels(project: Path) -> None:
    write_params()
    main([])
    write_params(labelled=True)
    with pytest.raises((SystemExit, PipelineError)):
        main([])
    assert LabelRecord.read(LABELS_RECORD) == LabelRecord(by=None)
