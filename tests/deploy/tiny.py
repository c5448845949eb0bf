"""A hand-written artefact that honours the graph's contract, and a data set for it: no torch is needed for either."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.parser

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.onnx_file import HASH_KEY, SEAL_KEY, sealed
from pipeline.records import DatasetRecord, SplitRecord

SPEC = ArtefactSpec(
    model="tiny",
    classes=("crown", "blob"),
    input_height=32,
    input_width=48,
    color_order="bgr",
    resize_rule="letterbox",
    pad_value=(10, 20, 30),
    score_threshold=0.05,
    nms_iou_threshold=0.6,
    nms_passes=0,
    max_candidates=100,
    max_detections=2,
    precision="fp32",
    recipe="hand_written",
    recipe_sha256="0" * 64,
    weights_sha256="1" * 64,
    dataset="none",
)

DYNAMIC_SPEC = replace(SPEC, resize_rule="keep_ratio", scale=(64, 40), size_divisor=16)

# The one detection is the bounding box of the pixels that are above 127 in one channel: label 1, and as score the
# channel's mean over the canvas divided by 255. `channel` is the index of red in the artefact's colour order.
GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
tiny (uint8[N, 32, 48, 3] images) => (float[N, 2, 4] boxes, float[N, 2] scores, int64[N, 2] labels, int64[N] num_dets)
<int64 channel = {{{channel}}}, int64[1] axis1 = {{1}}, int64[1] axis2 = {{2}}, int64[2] axis12 = {{1, 2}},
 float level = {{127.0}}, float white = {{255.0}}, int64 one = {{1}}, int64[4] pad_row = {{0, 0, 0, 1}},
 int64[6] pad_box = {{0, 0, 0, 0, 1, 0}}>
{{
    plane = Gather <axis = 3> (images, channel)
    values = Cast <to = 1> (plane)
    above = Greater (values, level)
    mask = Cast <to = 1> (above)
    columns = ReduceMax <keepdims = 0> (mask, axis1)
    rows = ReduceMax <keepdims = 0> (mask, axis2)
    any_f = ReduceMax <keepdims = 0> (mask, axis12)
    num_dets = Cast <to = 7> (any_f)
    any_column = Unsqueeze (any_f, axis1)
    left = ArgMax <axis = 1, keepdims = 1> (columns)
    top = ArgMax <axis = 1, keepdims = 1> (rows)
    right_pixel = ArgMax <axis = 1, keepdims = 1, select_last_index = 1> (columns)
    bottom_pixel = ArgMax <axis = 1, keepdims = 1, select_last_index = 1> (rows)
    right = Add (right_pixel, one)
    bottom = Add (bottom_pixel, one)
    corners = Concat <axis = 1> (left, top, right, bottom)
    corners_f = Cast <to = 1> (corners)
    box_f = Mul (corners_f, any_column)
    box = Unsqueeze (box_f, axis1)
    boxes = Pad (box, pad_box)
    mean = ReduceMean <keepdims = 0> (values, axis12)
    level_f = Div (mean, white)
    score = Mul (level_f, any_f)
    score_column = Unsqueeze (score, axis1)
    scores = Pad (score_column, pad_row)
    label = Unsqueeze (num_dets, axis1)
    labels = Pad (label, pad_row)
}}
"""


def write_artefact(path: Path, metadata: dict[str, str] | None = None, color_order: str = "bgr") -> Path:
    """Write the graph above; ``metadata`` None gives it that of :data:`SPEC`."""
    model = onnx.parser.parse_model(GRAPH.format(channel=2 if color_order == "bgr" else 0))
    if metadata is None:
        metadata = replace(SPEC, color_order=color_order).to_metadata()
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    save_sealed(model, path)
    return path


def write_dynamic_artefact(path: Path) -> Path:
    """The graph above with the inputs of :data:`DYNAMIC_SPEC`."""
    model = onnx.parser.parse_model(_with_open_size(GRAPH.format(channel=2)))
    onnx.helper.set_model_props(model, DYNAMIC_SPEC.to_metadata())
    onnx.checker.check_model(model, full_check=True)
    save_sealed(model, path)
    return path


def _with_open_size(graph: str) -> str:
    return graph.replace("[N, 32, 48, 3] images", "[N, H, W, 3] images, int64[N, 2] sizes")


# The grey values go through two convolutions and come out as they were. In between they lie beside values that are
# 100,000 times larger, so that one scale for both rounds all of them to 0: the second layer must not be quantised.
NETWORK = """    column = Unsqueeze (grey, axis1)
    wide = Conv (column, first)
    narrow = Conv (wide, second)
    values = Squeeze (narrow, axis1)
"""


def write_network_artefact(path: Path, metadata: dict[str, str] | None = None, dynamic_size: bool = False) -> Path:
    """The graph above with two layers that have weights."""
    text = GRAPH.format(channel=2).replace(
        "values = Cast <to = 1> (plane)\n", f"grey = Cast <to = 1> (plane)\n{NETWORK}"
    )
    text = text.replace(
        "float level =", "float[2,1,1,1] first = {1.0, 100000.0}, float[1,2,1,1] second = {1.0, 0.0}, float level ="
    )
    model = onnx.parser.parse_model(_with_open_size(text) if dynamic_size else text)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type} {number}"
    spec = DYNAMIC_SPEC if dynamic_size else SPEC
    onnx.helper.set_model_props(model, spec.to_metadata() if metadata is None else metadata)
    onnx.checker.check_model(model, full_check=True)
    save_sealed(model, path)
    return path


def save_sealed(model: onnx.ModelProto, path: Path) -> None:
    """Write a model as the export does, with the hash of its content; an earlier one is taken out."""
    for entry in [entry for entry in model.metadata_props if entry.key in (SEAL_KEY, HASH_KEY)]:
        model.metadata_props.remove(entry)
    path.write_bytes(sealed(model.SerializeToString()))


CATEGORY_IDS = {"crown": 3, "blob": 7}


def write_dataset(folder: Path, boxes: list[tuple[int, int, int, int]], splits: tuple[str, ...] = ("test",)) -> Path:
    """A prepared data set: for each of `boxes` (x1, y1, x2, y2) a 96 x 64 picture with one red `blob`.

    All `splits` are the same files.
    """
    (folder / "images/test").mkdir(parents=True)
    images, annotations = [], []
    for number, (x1, y1, x2, y2) in enumerate(boxes, start=1):
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[y1:y2, x1:x2, 2] = 255
        cv2.imwrite(str(folder / f"images/test/{number}.png"), picture)
        images.append({"id": 10 * number, "file_name": f"{number}.png", "width": 96, "height": 64})
        box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
        annotations.append({"id": number, "image_id": 10 * number, "category_id": CATEGORY_IDS["blob"], **box})
    categories = [{"id": number, "name": name} for name, number in CATEGORY_IDS.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "test.json").write_text(json.dumps(content))
    (folder / "test.txt").write_text("".join(f"{image['file_name']}\n" for image in images))
    split = SplitRecord(
        annotations="test.json",
        image_root="images/test",
        sha256="0" * 64,
        images=len(images),
        boxes=len(annotations),
        crowd_boxes=0,
        images_without_boxes=0,
        boxes_per_class={"crown": 0, "blob": len(annotations)},
    )
    record = DatasetRecord(
        name="red",
        title="red boxes",
        composed=True,
        classes=[*CATEGORY_IDS],
        splits=dict.fromkeys(splits, split),
        credits=[],
        findings=[],
    )
    record.write(folder / "dataset.json")
    return folder


def write_broken_artefact(path: Path) -> Path:
    """An artefact that opens and then fails on the first image: it reshapes to a size that cannot be."""
    right = "num_dets = Cast <to = 7> (any_f)"
    # The size comes from the pixels, so that no reader of the graph sees it coming.
    wrong = (
        "count = Cast <to = 7> (any_f)\n seven = Constant <value_ints = [7]> ()\n size = Add (count, seven)\n"
        "num_dets = Reshape (count, size)"
    )
    graph = GRAPH.format(channel=2).replace(right, wrong)
    model = onnx.parser.parse_model(graph)
    onnx.helper.set_model_props(model, SPEC.to_metadata())
    save_sealed(model, path)
    return path
