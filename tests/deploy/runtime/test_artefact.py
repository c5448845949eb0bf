import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from deploy.runtime.artefact import RULES, ArtefactSpec, read_spec
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
        {"scale": (40, 64)},
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
        ({"input_width": 0}, "input_width must be a whole number from 1 to 65536, got 0"),
        ({"classes": ()}, "classes must be a list of names"),
        ({"pad_value": (0, 0, 256)}, "pad_value must be 3 whole numbers from 0 to 255"),
        ({"recommended_score": 1.5}, "recommended_score must be a number from 0 to 1"),
        ({"input_height": "tall"}, "damaged metadata"),
    ],
)
def test_values_that_nothing_can_be_done_with_are_refused(spec: ArtefactSpec, change: dict, message: str) -> None:
    metadata = replace(spec, **change).to_metadata()
    with pytest.raises(ArtefactError, match=f"x.onnx.*{message}"):
        ArtefactSpec.from_metadata(metadata, "x.onnx")


@pytest.mark.parametrize("key", [key for key in RULES if key not in ("scale", "size_divisor", "recommended_score")])
def test_a_value_of_null_is_none_unless_it_may_be_missing(spec: ArtefactSpec, key: str) -> None:
    with pytest.raises(ArtefactError, match=rf"x\.onnx: damaged metadata: {key} must be .*, got None"):
        ArtefactSpec.from_metadata({**spec.to_metadata(), key: "null"}, "x.onnx")


def test_value_that_is_no_json_is_refused(spec: ArtefactSpec) -> None:
    with pytest.raises(ArtefactError, match=r"x.onnx: damaged metadata"):
        ArtefactSpec.from_metadata({**spec.to_metadata(), "classes": "[crown"}, "x.onnx")


def test_every_field_has_a_rule() -> None:
    assert [item.name for item in fields(ArtefactSpec)] == list(RULES)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("score_threshold", "high", "score_threshold must be a number from 0 to 1, got 'high'"),
        ("score_threshold", 1.5, "score_threshold must be a number from 0 to 1, got 1.5"),
        ("nms_iou_threshold", float("nan"), "nms_iou_threshold must be a number from 0 to 1, got nan"),
        ("nms_iou_threshold", True, "nms_iou_threshold must be a number"),
        ("input_height", 256.5, "input_height must be a whole number from 1 to 65536, got 256.5"),
        ("input_width", 0, "input_width must be a whole number"),
        ("input_width", 10**400, "input_width must be a whole number"),
        ("input_width", True, "input_width must be a whole number"),
        ("classes", "abc", "classes must be a list of names, got 'abc'"),
        ("classes", [], "classes must be a list of names"),
        ("classes", ["a", 1], "classes must be a list of names"),
        ("classes", ["a\nb"], "classes must be a list of names"),
        ("classes", ["\x1b[2J"], "classes must be a list of names"),
        ("classes", [""], "classes must be a list of names"),
        ("classes", {"a": 1}, "classes must be a list of names"),
        ("pad_value", [1, 2], "pad_value must be 3 whole numbers from 0 to 255"),
        ("pad_value", [1, 2, 256], "pad_value must be 3 whole numbers"),
        ("pad_value", "123", "pad_value must be 3 whole numbers"),
        ("precision", "fp8", "precision must be fp32, fp16, int8 or int8_symmetric"),
        ("color_order", ["bgr"], "color_order must be bgr or rgb"),
        ("max_detections", -1, "max_detections must be a whole number"),
        ("nms_passes", "16", "nms_passes must be a whole number"),
        ("weights_sha256", "xyz", "weights_sha256 must be a SHA-256"),
        ("model", 'a"\nbackend: "python', "model must be a line of text"),
        ("scale", [64.0, 40], "scale must be 2 whole numbers"),
        ("size_divisor", 0, "size_divisor must be a whole number"),
    ],
)
def test_a_value_of_another_kind_is_named(key: str, value: object, said: str) -> None:
    metadata = {**DYNAMIC_SPEC.to_metadata(), key: json.dumps(value)}
    with pytest.raises(ArtefactError, match="damaged metadata") as caught:
        ArtefactSpec.from_metadata(metadata, "x.onnx")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 100_000, "1" * 5000, "\ud800"])
def test_a_value_that_is_no_json_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(ArtefactError, match="damaged metadata"):
        ArtefactSpec.from_metadata({**DYNAMIC_SPEC.to_metadata(), "input_height": text}, "x.onnx")


def test_any_script_may_name_a_class() -> None:
    spec = replace(DYNAMIC_SPEC, classes=("Bäume 樹", "scissors ✂\ufe0f", "a\u202fb"))
    assert ArtefactSpec.from_metadata(spec.to_metadata(), "x.onnx") == spec
