from pathlib import Path

import onnx
import pytest

from deploy.artefact import ArtefactSpec
from deploy.backends.openvino_cpu import open_cpu
from deploy.errors import ArtefactError


def test_computes_in_fp32_also_where_the_cpu_has_bf16(artefact: Path, spec) -> None:
    backend = open_cpu(artefact, spec, 1)
    compiled = backend._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_file_that_is_no_graph_is_named(tmp_path: Path, spec) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x08\x3a\x02\xff\xff")
    with pytest.raises(ArtefactError, match=r"broken\.onnx: OpenVINO cannot run it"):
        open_cpu(path, spec, 1)


def test_graph_of_another_shape_is_refused(tmp_path: Path, spec: ArtefactSpec) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[N] x) => (float[N] y) {y = Abs(x)}'
    )
    onnx.save(model, tmp_path / "abs.onnx")
    with pytest.raises(ArtefactError, match=r"abs\.onnx: a graph from \['images'\] .* got \['x'\] to \['y'\]"):
        open_cpu(tmp_path / "abs.onnx", spec, 1)
