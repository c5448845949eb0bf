"""A training on pictures that people labelled and on pictures with pseudo-labels."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from pipeline.errors import RecipeError, TrainingError
from pipeline.label_records import LabelRecord
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import job, loaders, pseudo_labelled
from pipeline.training.job import TrainingJob, train
from pipeline.training.loaders import train_loader
from pipeline.training_records import UsedLabels
from tests.pipeline.training.conftest import RecipeMaker
from tests.pipeline.training.pseudo import write_pseudo_labels

LABELS = LabelRecord(by="teacher", images=3)
Squares = tuple[DatasetRecord, Path]


@pytest.fixture
def labels(squares: Squares, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "pseudo_labels.json"
    for module in (loaders, pseudo_labelled):
        monkeypatch.setattr(module, "PSEUDO_LABELS", target)
    monkeypatch.setattr(job, "LABELS_RECORD", tmp_path / "labels.json")
    LABELS.write(tmp_path / "labels.json")
    boxes = [(0, [10.0, 10, 20, 20], 0.8, 0), (0, [40.0, 40, 20, 20], 0.3, 1), (1, [5.0, 5, 30, 30], 0.6, 0)]
    write_pseudo_labels(target, squares[1], ["1.png", "2.png", "3.png"], boxes)


@pytest.mark.parametrize("sampler", ["InfiniteSampler", "DefaultSampler"])
def test_batches_have_both_kinds_and_an_epoch_stays_as_long(
    labels: None, make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings, sampler: str
) -> None:
    recipe = make_recipe("student", unlabelled=1.0, **{"train_dataloader.sampler.type": sampler})
    loader = Runner.build_dataloader(train_loader(recipe, *squares, settings), seed=0)
    assert len(loader.dataset) == 12 + 3
    assert loader.dataset.labelled == 12
    if sampler == "DefaultSampler":
        assert len(loader) == 6
    for batch in islice(loader, 20):
        codes = [torch.cat([each.gt_instances.labels, each.ignored_instances.labels]) for each in batch["data_samples"]]
        pseudo = [bool((code >= 2).any()) for code in codes]
        assert pseudo[0] is False  # one of each kind, but for the picture that has no box
        assert pseudo[1] or not len(codes[1])


def test_filters_are_for_what_people_labelled(
    labels: None, make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings
) -> None:
    recipe = make_recipe("student", unlabelled=1.0, **{"train_dataloader.dataset.filter_cfg.filter_empty_gt": True})
    dataset = Runner.build_dataloader(train_loader(recipe, *squares, settings), seed=0).dataset
    assert (dataset.labelled, len(dataset)) == (11, 14)  # the third picture without boxes stays


def test_a_part_of_the_pictures_is_refused(
    labels: None, make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings
) -> None:
    recipe = make_recipe("student", unlabelled=1.0)
    recipe.config.train_dataloader.dataset.indices = 5
    with pytest.raises(RecipeError, match="indices takes a part"):
        train_loader(recipe, *squares, settings)


@pytest.mark.parametrize("sampler", [{"type": "ClassAwareSampler"}, {"type": "DefaultSampler", "shuffle": False}])
def test_an_order_of_the_recipes_own_is_refused(
    labels: None, make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings, sampler: dict[str, object]
) -> None:
    recipe = make_recipe("student", unlabelled=1.0)
    recipe.config.train_dataloader.sampler = sampler
    with pytest.raises(RecipeError, match="InfiniteSampler or DefaultSampler with shuffle=True alone"):
        train_loader(recipe, *squares, settings)


def test_the_student_learns_from_both_without_a_teacher(
    labels: None,
    make_recipe: RecipeMaker,
    squares: Squares,
    settings: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = make_recipe("student", unlabelled=1.0)
    assert (recipe.method, recipe.has_methods) == ("pseudo-labels", False)
    monkeypatch.chdir(tmp_path)
    record = train(TrainingJob(recipe, *squares, settings), tmp_path / "weights.safetensors")
    assert record is not None
    assert record.method == "pseudo-labels"
    assert record.pseudo_labels == UsedLabels(ratio=1.0, labels=LABELS)
    assert all(point.losses["loss"] > 0 for point in record.points)


def test_labels_that_were_never_made_are_told_before_anything_is_trained(
    make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("student", unlabelled=1.0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match=r"pseudo_labels.json: no such file.*run `dvc repro label`"):
        train(TrainingJob(recipe, *squares, settings), tmp_path / "weights.safetensors")
