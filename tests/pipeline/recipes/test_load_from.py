"""``load_from`` of a recipe: which file it is, and what of it reaches the resolved recipe."""

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from pipeline.recipes import Recipe, load_resolved, resolve, write_resolved
from pipeline.recipes.load_from import has_hash, init_of
from pipeline.recipes.plain_settings import UNCHANGED, PlainSettings
from pipeline.records import DatasetRecord
from pipeline.setting_types import StartingWeights, WeightsFile
from tests.minimal_dataset import minimal_dataset

TWIN = Path("configs/students/twin_gfl_r18w16_embedded.py")
PUBLISHED = "https://host/v2.0/gfl_r50_fpn_1x_coco_20200629_121244-25944287.pth"


@pytest.fixture
def dataset() -> DatasetRecord:
    return minimal_dataset("a")


def resolved(folder: Path, source: str | None, dataset: DatasetRecord, plain: PlainSettings = UNCHANGED) -> Recipe:
    path = folder / "own.py"
    path.write_text(f"_base_ = [{str(TWIN.resolve())!r}]\nload_from = {source!r}\n")
    write_resolved(folder / "own.json", resolve(path, dataset, {}, plain))
    return load_resolved(folder / "own.json")


@pytest.mark.parametrize(
    ("source", "is_known"),
    [
        ("epoch_12.pth", True),
        (PUBLISHED, True),
        (f"https://host/best-{'0a' * 32}.safetensors?download=1", True),
        ("https://host/epoch_12.pth", False),
        ("https://host/best-0a1b2c3.pth", False),  # seven digits
        ("https://host/best-0a1b2c3d/epoch_12.pth", False),
        ("https://host/best-0a1b2c3d.pth.tar.old", False),
        ("s3://host/best-0a1b2c3d.pth", False),
        (3, False),
    ],
)
def test_a_file_is_known_by_the_hash_in_its_name_or_by_lying_here(source: object, is_known: bool) -> None:
    assert has_hash(source) == is_known


def test_the_name_of_an_address_is_the_check_and_a_local_file_is_hashed(tmp_path: Path) -> None:
    assert init_of({}, "x.py") is None
    assert init_of({"load_from": None}, "x.py") is None
    assert init_of({"load_from": PUBLISHED}, "x.py") == StartingWeights(sources=[PUBLISHED], sha256_prefix="25944287")
    whole = f"https://host/best-{'0a' * 32}.pth"
    assert init_of({"load_from": whole}, "x.py") == StartingWeights(sources=[whole], sha256="0a" * 32)
    local = tmp_path / "run-20240131.pth"  # a date, which is eight digits too
    local.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert init_of({"load_from": str(local)}, "x.py") == StartingWeights(sources=[str(local)], sha256=digest)


def test_it_stands_in_the_resolved_recipe_as_init_does(dataset: DatasetRecord, tmp_path: Path) -> None:
    init = StartingWeights(sources=[PUBLISHED], sha256_prefix="25944287")
    by_params = resolved(tmp_path, None, dataset, PlainSettings(init=init))
    by_recipe = resolved(tmp_path, PUBLISHED, dataset)
    assert (by_recipe.init, by_recipe.sha256) == (by_params.init, by_params.sha256)
    assert by_recipe.init == WeightsFile(sources=[PUBLISHED], sha256_prefix="25944287")
    assert resolved(tmp_path, None, dataset).init is None


@pytest.mark.parametrize("source", [PUBLISHED, "https://host/no_hash.pth", "no/such/file.pth"])
def test_params_have_the_last_word_and_the_log_says_so(
    dataset: DatasetRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str
) -> None:
    caplog.set_level("INFO")
    init = StartingWeights(sources=["mine.pth"], sha256="1" * 64)
    found = resolved(tmp_path, source, dataset, PlainSettings(init=init)).init
    assert found == WeightsFile(sources=["mine.pth"], sha256="1" * 64)
    assert f"own.py: load_from = '{source}' is not read: `init` of params.yaml is" in caplog.text


def test_an_address_without_a_hash_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"x\.py: load_from = 'https://host/epoch_12\.pth': nothing is fetched unchecked"
    ):
        init_of({"load_from": "https://host/epoch_12.pth"}, "x.py")


@pytest.mark.parametrize("name", ["none.pth", "", "a\0b"])
def test_a_local_file_that_cannot_be_read_is_named(dataset: DatasetRecord, tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=r"own\.py: load_from = .*; a path starts at the project's root"):
        resolved(tmp_path, str(tmp_path / name), dataset)
