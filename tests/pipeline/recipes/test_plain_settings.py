"""Plain settings of params.yaml on whole recipes."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import RecipeError
from pipeline.recipe_settings import BudgetSettings
from pipeline.recipes import resolve
from pipeline.recipes.consistency import check_whole
from pipeline.recipes.plain_settings import PlainSettings
from pipeline.training.batch import scaling_of
from tests.minimal_dataset import minimal_dataset
from tests.recipe_files import RECIPES, read_once

EMBEDDED = Path("configs/students/crosskd_gfl_mobilenetv2_r18w16_embedded.py")
COCO = Path("configs/students/crosskd_gfl_r50_r18_1x_coco.py")


def resolved(path: Path, images: int = 80, **budget: object) -> dict:  # type: ignore[type-arg]
    dataset = minimal_dataset("a", "b")
    split = dataset.splits["train"].model_copy(update={"images": images})
    dataset = dataset.model_copy(update={"splits": {**dataset.splits, "train": split}})
    content = resolve(path, dataset, {}, PlainSettings(BudgetSettings.model_validate(budget))).content["config"]
    check_whole(content, path, images)
    return dict(content)


@pytest.mark.usefixtures(read_once.__name__)
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "budget", [{"epochs": 30}, {"epochs": 1}, {"iterations": 700}, {"iterations": 3, "batch_size": 2}], ids=str
)
def test_every_recipe_has_a_valid_schedule_on_eighty_images(path: Path, budget: dict[str, int]) -> None:
    resolved(path, **budget)


def test_epochs_of_a_recipe_by_iterations_are_passes_over_the_images() -> None:
    found = resolved(EMBEDDED, images=81, epochs=40)
    assert found["train_cfg"]["max_iters"] == 40 * 11
    assert found["distillation"]["schedule"] == {"decay_begin": 220, "decay_end": 352}


def test_epochs_go_by_the_batch_that_is_set_beside_them() -> None:
    found = resolved(EMBEDDED, epochs=40, batch_size=16)
    assert (found["train_cfg"]["max_iters"], found["train_dataloader"]["batch_size"]) == (200, 16)


def test_iterations_of_a_recipe_by_epochs_are_iterations() -> None:
    found = resolved(COCO, images=1600, iterations=3000)
    assert found["train_cfg"] == {"max_iters": 3000, "val_interval": 250}
    warmup, steps = found["param_scheduler"]
    assert (warmup["end"], steps["milestones"], steps["by_epoch"]) == (500, [2121, 2780], False)


def test_a_warm_up_longer_than_the_training_becomes_a_fifth_of_it() -> None:
    warmup = resolved(COCO, epochs=12)["param_scheduler"][0]
    assert warmup["end"] == 96  # of 12 epochs of 40 iterations


def test_a_learning_rate_that_is_given_is_taken_as_it_is() -> None:
    found = resolved(EMBEDDED, batch_size=32, learning_rate=0.001)
    assert found["optim_wrapper"]["optimizer"]["lr"] == 0.001


def test_a_learning_rate_that_is_given_is_not_scaled_by_the_recipe() -> None:
    assert scaling_of(resolved(COCO, epochs=12))
    found = resolved(COCO, epochs=12, learning_rate=0.001)
    assert found["optim_wrapper"]["optimizer"]["lr"] == 0.001
    assert scaling_of(found) is None


def test_options_have_the_last_word() -> None:
    plain = PlainSettings(BudgetSettings(learning_rate=0.1))
    found = resolve(EMBEDDED, minimal_dataset("a"), {"optim_wrapper.optimizer.lr": 0.2}, plain)
    assert found.content["config"]["optim_wrapper"]["optimizer"]["lr"] == 0.2


@pytest.mark.usefixtures(read_once.__name__)
def test_nothing_is_changed_by_nothing() -> None:
    for path in RECIPES:
        dataset = minimal_dataset("a", "b")
        assert resolve(path, dataset, {}, PlainSettings()) == resolve(path, dataset, {})


def test_two_lengths_are_refused() -> None:
    with pytest.raises(ValidationError, match="epochs is 3 and iterations 4; give one of them"):
        BudgetSettings(epochs=3, iterations=4)


def test_a_size_that_does_not_fit_names_the_recipe() -> None:
    with pytest.raises(RecipeError, match=f"{EMBEDDED}: input_size is \\[250, 250\\]"):
        resolve(EMBEDDED, minimal_dataset("a"), {}, PlainSettings(input_size=(250, 250)))
