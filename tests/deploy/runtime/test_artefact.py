from dataclasses import replace
from pathlib import Path

import pytest

from deploy.runtime.artefact import ArtefactSpec, read_spec
from deploy.runtime.errors import ArtefactError
from tests.deploy.tiny import DYNAMIC_SPEC


def test_specification_survives_the_file(artefact: Path, spec: ArtefactSpec) -> None:
    assert read_spec(artefact) == spec


def test_dynamic_size_survives_the_file(dynamic_artefact: Path) -> None:
    spec = read_spec(dynamic_artefact)
    assert spec == DYNAMIC_SPEC
    assert (spec.dynamic_size, spec.scale, spec.input_names) == (True, (64, 40), ("images", "sizes"))


def test_fixed_size_leaves_no_trace_of_the_dynamic_one(spec: ArtefactSpec) -> None:
    """Files that were written before it existed are read, and are written as they were."""
    assert not spec.dynamic_size
    assert spec.to_metadata().keys().isdisjoint({"scale", "size_divisor"})


@pytest.mark.parametrize(
    "change",
    [
        {"scale": None},
        {"size_divisor": None},
        {"size_divisor": 0},
        {"scale": (40, 64)},
        {"scale": (64, 0)},
        {"resize_rule": "letterbox"},
    ],
    ids=str,
)
def test_a_resize_rule_without_its_numbers_is_refused(change: dict) -> None:
    metadata = replace(DYNAMIC_SPEC, **change).to_metadata()
    with pytest.raises(ArtefactError, match=r"x\.onnx: damaged metadata: keep_ratio needs a scale .* and a size_"):
        ArtefactSpec.from_metadata(metadata, "x.onnx")


@pytest.mark.parametrize("scale", ["[64]", "[64, 40, 8]", '"64"', "64", '["a", "b"]'])
def test_a_scale_that_is_no_pair_of_numbers_is_refused(scale: str) -> None:
    with pytest.raises(ArtefactError, match=r"x\.onnx: damaged metadata"):
        ArtefactSpec.from_metadata({**DYNAMIC_SPEC.to_metadata(), "scale": scale}, "x.onnx")


def test_foreign_onnx_file_is_named_with_what_it_lacks(tmp_path: Path, write) -> None:
    path = write(tmp_path / "foreign.onnx", {"names": "{0: 'person'}", "stride": "32"})
    with pytest.raises(
        ArtefactError, match=r"foreign\.onnx: not an artefact of this pipeline.*input_height.*stages\.export"
    ):
        read_spec(path)


def test_other_format_version_is_refused(spec: ArtefactSpec) -> None:
    with pytest.raises(ArtefactError, match="format_version '9'"):
        ArtefactSpec.from_metadata({**spec.to_metadata(), "format_version": "9"}, "x.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"color_order": "grb"}, "color_order must be bgr or rgb, got 'grb'"),
        ({"resize_rule": "stretch"}, "resize_rule must be letterbox or keep_ratio, got 'stretch'"),
        ({"input_width": 0}, "input size must be positive, got 32 x 0"),
        ({"classes": ()}, "classes must be names"),
        ({"pad_value": (0, 0, 256)}, "pad_value must be three numbers from 0 to 255"),
        ({"input_height": "tall"}, "damaged metadata"),
    ],
)
def test_values_that_nothing_can_be_done_with_are_refused(spec: ArtefactSpec, change: dict, message: str) -> None:
    metadata = replace(spec, **change).to_metadata()
    with pytest.raises(ArtefactError, match=f"x.onnx.*{message}"):
        ArtefactSpec.from_metadata(metadata, "x.onnx")


def test_value_that_is_no_json_is_refused(spec: ArtefactSpec) -> None:
    with pytest.raises(ArtefactError, match=r"x.onnx: damaged metadata"):
        ArtefactSpec.from_metadata({**spec.to_metadata(), "classes": "[crown"}, "x.onnx")
