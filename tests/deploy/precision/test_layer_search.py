"""A network in which one layer must not be quantised, and the search that has to find it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy.precision.calibration import activation_ranges, choose_images
from deploy.precision.layer_ranking import rank_layers
from deploy.precision.layer_search import search_layers
from deploy.precision.network import load_exported
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.precision.validation_slice import ValidationSlice
from pipeline.deploy_settings import CalibrationSettings, SearchSettings
from pipeline.errors import DatasetError
from tests.deploy.tiny import SPEC, write_dataset, write_network_artefact

BOXES = [(x, 10, x + 20, 40) for x in range(0, 60, 10)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("search") / "prepared", BOXES, splits=("train", "val"))


@pytest.fixture(scope="module")
def quantiser(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Quantiser:
    model, spec = load_exported(write_network_artefact(tmp_path_factory.mktemp("search") / "x.onnx"))
    files = choose_images(dataset, CalibrationSettings()).files
    return Quantiser(model, activation_ranges(model, spec, files, CALIBRATED), FORMS["int8_symmetric"])


@pytest.fixture(scope="module")
def validation(dataset: Path) -> ValidationSlice:
    return ValidationSlice.read(dataset, "val", 3)


def test_the_layer_that_costs_accuracy_is_kept(quantiser: Quantiser, validation: ValidationSlice) -> None:
    assert list(quantiser.layers) == ["first", "second"]
    reference = validation.ap(quantiser.model, SPEC)
    graph, record = search_layers(quantiser, SPEC, validation, reference, SearchSettings())
    assert reference == pytest.approx(100)
    assert (record.fp32_ap, record.quantised_ap, record.ap) == (reference, pytest.approx(0), pytest.approx(100))
    assert [kept.layer for kept in record.kept] == ["second"]
    assert (record.split, record.images, record.layers, record.max_map_drop) == ("val", 3, 2, 0.5)
    assert validation.ap(graph, SPEC) == pytest.approx(100)
    assert {"first_quantized", "second"} <= {tensor.name for tensor in graph.graph.initializer}


def test_ranking_says_how_far_the_outputs_move(quantiser: Quantiser) -> None:
    images = np.zeros((1, 32, 48, 3), np.uint8)
    images[0, 4:20, 5:30, 2] = 255
    worst, best = rank_layers(quantiser, {"images": images})
    # Rounded to 0 the output is all gone: the distance is the output itself.
    assert (worst.layer, worst.error) == ("second", pytest.approx(1))
    assert (best.layer, best.error) == ("first", pytest.approx(0, abs=1e-4))


def test_nothing_is_kept_where_nothing_is_lost(quantiser: Quantiser, validation: ValidationSlice) -> None:
    _, record = search_layers(quantiser, SPEC, validation, 100.0, SearchSettings(max_map_drop=100))
    assert (record.kept, record.quantised_ap, record.ap) == ([], pytest.approx(0), pytest.approx(0))


def test_the_limit_on_layers_holds_and_the_loss_is_recorded(quantiser, validation) -> None:
    _, record = search_layers(quantiser, SPEC, validation, 100.0, SearchSettings(max_layers=0))
    assert (record.kept, record.ap) == ([], pytest.approx(0))


def test_without_a_box_to_find_nothing_is_kept(quantiser: Quantiser, dataset: Path) -> None:
    whole = ValidationSlice.read(dataset, "val", 2)
    empty = ValidationSlice("val", whole.images, replace(whole.content, annotations=[]))
    reference = empty.ap(quantiser.model, SPEC)
    _, record = search_layers(quantiser, SPEC, empty, reference, SearchSettings())
    assert (record.fp32_ap, record.ap, record.kept) == (None, None, [])


def test_the_slice_is_spread_over_the_split(dataset: Path) -> None:
    found = ValidationSlice.read(dataset, "val", 3)
    assert [entry["id"] for entry in found.content.images] == [10, 30, 50]
    assert [item["image_id"] for item in found.content.annotations] == [10, 30, 50]
    assert len(ValidationSlice.read(dataset, "val", 100).images) == 6
    with pytest.raises(DatasetError, match="has no split 'test'"):
        ValidationSlice.read(dataset, "test", 3)
