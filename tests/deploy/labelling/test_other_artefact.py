"""ONNX detectors of other projects, by what they take and give."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from deploy.labelling.other_artefact import open_other
from deploy.runtime.errors import ArtefactError
from pipeline.errors import SettingsError
from pipeline.label_settings import OtherArtefact
from pipeline.settings import parse_params
from pipeline.storage import sha256_of

# The one detection is the bounding box of what is red: class 2, its score the share of red. A second row has no score.
GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
other (float[N, 3, 32, 48] pixels) => ({outputs})
<int64 red = {{0}}, int64[1] axis1 = {{1}}, int64[1] axis2 = {{2}}, int64[2] axis12 = {{1, 2}}, float half = {{0.5}},
 int64 one = {{1}}, float two = {{2.0}}, int64[6] below = {{0, 0, 0, 0, 1, 0}}>
{{
    plane = Gather <axis = 1> (pixels, red)
    above = Greater (plane, half)
    mask = Cast <to = 1> (above)
    columns = ReduceMax <keepdims = 0> (mask, axis1)
    rows = ReduceMax <keepdims = 0> (mask, axis2)
    left = ArgMax <axis = 1, keepdims = 1> (columns)
    top = ArgMax <axis = 1, keepdims = 1> (rows)
    right_pixel = ArgMax <axis = 1, keepdims = 1, select_last_index = 1> (columns)
    bottom_pixel = ArgMax <axis = 1, keepdims = 1, select_last_index = 1> (rows)
    right = Add (right_pixel, one)
    bottom = Add (bottom_pixel, one)
    corners = Concat <axis = 1> (left, top, right, bottom)
    box = Cast <to = 1> (corners)
    share = ReduceMean <keepdims = 0> (mask, axis12)
    score = Unsqueeze (share, axis1)
    zero = Sub (score, score)
    class = Add (zero, two)
    {last}
}}
"""
ROWS = """row = Concat <axis = 1> (box, score, class)
    single = Unsqueeze (row, axis1)
    found = Pad (single, below)"""
DETS = """row = Concat <axis = 1> (box, score)
    found = Unsqueeze (row, axis1)
    labels = Cast <to = 7> (class)"""
FORMS = {
    "x1y1x2y2_score_class": GRAPH.format(outputs="float[N, 2, 6] found", last=ROWS),
    "dets_labels": GRAPH.format(outputs="float[N, 1, 5] found, int64[N, 1] labels", last=DETS),
}
CLASSES = ["person", "crown", "blob"]
WANTED = ["crown", "blob"]


def written(folder: Path, rows: str = "x1y1x2y2_score_class", batch: str = "N") -> Path:
    model = onnx.parser.parse_model(FORMS[rows].replace("float[N", f"float[{batch}"))
    onnx.checker.check_model(model, full_check=True)
    target = folder / "other.onnx"
    onnx.save(model, target)
    return target


def settings(artefact: Path, **changes: Any) -> OtherArtefact:
    content = {"artefact": artefact, "sha256": sha256_of(artefact), "classes": CLASSES, "input_size": [32, 48]}
    return OtherArtefact.model_validate(content | changes)


@pytest.mark.parametrize("rows", FORMS)
def test_boxes_come_back_in_the_pictures_pixels_and_the_data_sets_classes(
    tmp_path: Path, red_box: Callable[..., np.ndarray], rows: str
) -> None:
    boxes = [(10, 10, 40, 30), (50, 20, 90, 60)]
    with open_other(settings(written(tmp_path, rows), rows=rows), WANTED, 0.05, 8) as detector:
        # Of twice the input's size, with a part that is padding.
        found = detector([red_box(64, 96, box) for box in boxes] + [red_box(32, 96, (4, 4, 44, 28))])
    for each, box in zip(found, [*boxes, (4, 4, 44, 28)], strict=True):
        assert each.names == ["blob"]
        np.testing.assert_allclose(each.boxes, [box], atol=1)
    assert found[0].scores.tolist() == pytest.approx([20 * 30 / (64 * 96)], abs=0.02)


def test_a_file_for_one_image_gets_one_at_a_time_and_one_for_four_is_refused(
    tmp_path: Path, red_box: Callable[..., np.ndarray]
) -> None:
    with open_other(settings(written(tmp_path, batch="1")), WANTED, 0.05, 8) as detector:
        assert [len(found) for found in detector([red_box(64, 96, (10, 10, 40, 30))] * 3)] == [1, 1, 1]
    with pytest.raises(ArtefactError, match="with N open or 1"):
        open_other(settings(written(tmp_path, batch="4")), WANTED, 0.05, 8)


def test_boxes_of_other_classes_and_of_little_score_are_dropped(
    tmp_path: Path, red_box: Callable[..., np.ndarray]
) -> None:
    artefact = settings(written(tmp_path), classes=["blob", "crown", "person"])
    picture = red_box(64, 96, (10, 10, 40, 30))
    with open_other(artefact, WANTED, 0.05, 8) as detector:
        assert len(detector(picture)) == 0
    with open_other(settings(written(tmp_path)), WANTED, 0.5, 8) as detector:
        assert len(detector(picture)) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": ["person", "car", "dog"]}, "it would label nothing; give the file's classes"),
        ({"input_size": [64, 48]}, r"is needed, of label.by.input_size \[64, 48\], with N open or 1"),
        ({"classes": ["blob", "crown"]}, "gives the class 2, and label.by.classes has 2; list all"),
        ({"rows": "dets_labels"}, r"its outputs are \[\[1, 2, 6\]\]; label.by.rows 'dets_labels' needs \[N, K, 5\]"),
    ],
)
def test_what_does_not_fit_is_said_with_what_to_set(
    tmp_path: Path, red_box: Callable[..., np.ndarray], changes: dict[str, Any], said: str
) -> None:
    with (
        pytest.raises(ArtefactError, match=said),
        open_other(settings(written(tmp_path), **changes), WANTED, 0.05, 8) as detector,
    ):
        detector(red_box(64, 96, (10, 10, 40, 30)))


def test_a_file_that_is_no_onnx(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"none")
    with pytest.raises(ArtefactError, match=r"broken.onnx: cannot be opened by ONNX Runtime"):
        open_other(settings(broken), WANTED, 0.05, 8)


def test_settings_tell_the_three_kinds_apart_and_name_what_is_wrong() -> None:
    content = {
        "data": {"name": "coco_dir"},
        "teacher": {"config": "teacher.py"},
        "students": {"small": {"recipe": "small.py"}},
        "export": {"models": ["small"]},
        "benchmark": {"backends": ["onnxruntime"]},
    }
    own = {"artefact": "a.onnx", "sha256": "0" * 64}
    other = own | {"classes": ["a"], "input_size": 640}
    for by, kind in (("teacher", "str"), (own, "LabellingArtefact"), (other, "OtherArtefact")):
        assert type(parse_params(content | {"label": {"by": by}}).label.by).__name__ == kind
    with pytest.raises(SettingsError, match="std"):
        parse_params(content | {"label": {"by": other | {"std": [1, 0, 1]}}})
