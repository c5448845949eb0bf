"""A small artefact that honours the graph's contract, and whose boxes depend on its weights."""

import onnx
import onnx.parser

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.onnx_file import sealed

SPEC = ArtefactSpec(
    model="tiny",
    classes=("crown", "Stämme"),
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
_GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
tiny (uint8[N, 32, 48, 3] images) => (float[N, 2, 4] boxes, float[N, 2] scores, int64[N, 2] labels, int64[N] num_dets)
<float[3,8] corners = {0.01, 0.02, 0.1, 0.1, 0.03, 0.01, 0.12, 0.1, 0.02, 0.01, 0.1, 0.08, 0.01, 0.03, 0.1, 0.11,
                        0.01, 0.01, 0.08, 0.1, 0.02, 0.02, 0.1, 0.07},
 float[3,2] weights = {0.002, 0.001, 0.001, 0.001, 0.0009, 0.0007}, int64[2] axes = {1, 2}, int64[3] shape = {0, 2, 4},
 int64[1,2] both = {0, 1}, int64[1] two = {2}, int64[2] once = {-1, 1}, int64[1] last = {1}>
{
    values = Cast <to = 1> (images)
    mean = ReduceMean <keepdims = 0> (values, axes)
    flat = MatMul (mean, corners)
    boxes = Reshape (flat, shape)
    raw = MatMul (mean, weights)
    scores = Sigmoid (raw)
    zeros_f = Sub (raw, raw)
    zeros = Cast <to = 7> (zeros_f)
    labels = Add (zeros, both)
    counts = Add (labels, two)
    firsts = ReduceMin <keepdims = 0> (counts, last)
    num_dets = Identity (firsts)
}
"""


def model(metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """The graph, with the metadata of :data:`SPEC` or other."""
    built = onnx.parser.parse_model(_GRAPH)
    onnx.helper.set_model_props(built, SPEC.to_metadata() if metadata is None else metadata)
    return built


def artefact() -> bytes:
    """The file as the export writes it."""
    built = model()
    onnx.checker.check_model(built, full_check=True)
    return sealed(built.SerializeToString())
