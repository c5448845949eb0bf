"""The portable form of whole artefacts, the embedded teacher on real digits above all, against mmdet's results."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from deploy.engines.portable import MOST_CANDIDATES, read_portable
from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.specification import padding_colour
from deploy.runtime.artefact import OUTPUT_NAMES, read_spec
from deploy.runtime.errors import ArtefactError
from tests.deploy.embedded import CLASSES, SIZE, digit_pictures, load_teacher
from tests.deploy.graph.test_exported_module import check_equal, mmdet_predict
from tests.deploy.stock import spec
from tests.deploy.tiny import SPEC, save_sealed, write_artefact

PICTURES = 6
# Low enough that hundreds of boxes an image compete.
THRESHOLD = 0.005


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_teacher(tmp_path_factory.mktemp("recipes"))


@pytest.fixture(scope="module")
def artefact_of_teacher(teacher: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artefacts") / "teacher.onnx"
    sizes = {"input_height": SIZE, "input_width": SIZE, "pad_value": padding_colour(teacher.data_preprocessor)}
    artefact = replace(spec(10, score_threshold=THRESHOLD, **sizes), classes=tuple(CLASSES))
    export_onnx(DeployableDetector(teacher, artefact), path, opset=18)
    return path


def run(model: onnx.ModelProto, pictures: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(OUTPUT_NAMES, {"images": pictures})
    return outputs


def test_both_forms_of_the_teacher_give_what_mmdet_gives(teacher: Any, artefact_of_teacher: Path) -> None:
    pictures = digit_pictures(PICTURES)
    teacher.bbox_head.test_cfg.update(score_thr=THRESHOLD, max_per_img=100, nms={"type": "nms", "iou_threshold": 0.6})
    expected = mmdet_predict(teacher, torch.tensor(pictures))
    standard = run(onnx.load(artefact_of_teacher), pictures)
    portable = run(read_portable(artefact_of_teacher, passes=16), pictures)
    for outputs in (standard, portable):
        # ONNX Runtime's convolutions round otherwise than PyTorch's, from CPU to CPU by another amount.
        check_equal(TensorOutputs(*map(torch.tensor, outputs)), expected, atol=2e-6)
    for first, second in zip(standard, portable, strict=True):
        np.testing.assert_array_equal(first, second)
    assert standard[3].min() > 20
    assert (standard[1] > 0.3).sum() > 3 * PICTURES


class TensorOutputs(tuple[torch.Tensor, ...]):
    """Outputs by position and, as the detector's, the number of detections by name."""

    def __new__(cls, *outputs: torch.Tensor) -> "TensorOutputs":
        return super().__new__(cls, outputs)

    @property
    def num_dets(self) -> torch.Tensor:
        return self[3]


def test_the_portable_form_describes_itself(artefact_of_teacher: Path) -> None:
    model = read_portable(artefact_of_teacher, passes=4)
    assert read_portable(artefact_of_teacher, passes=4) == model
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata == replace(read_spec(artefact_of_teacher), nms_passes=4).to_metadata()
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"NonMaxSuppression", "ScatterND", "NonZero", "Loop", "If", "MatMul"}
    names = [node.name for node in model.graph.node]
    assert len(names) == len(set(names))
    assert str(Path(__file__).parents[3]).encode() not in model.SerializeToString()


def test_a_portable_form_has_none_of_its_own(artefact_of_teacher: Path, tmp_path: Path) -> None:
    save_sealed(read_portable(artefact_of_teacher, passes=4), tmp_path / "portable.onnx")
    with pytest.raises(ArtefactError, match=r"portable\.onnx: one NonMaxSuppression is needed, got 0; export it again"):
        read_portable(tmp_path / "portable.onnx", passes=4)


def test_nms_of_another_export_is_refused(artefact_of_teacher: Path, tmp_path: Path) -> None:
    model = onnx.load(artefact_of_teacher)
    (chosen,) = [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]
    chosen.input[1] = chosen.input[0]
    save_sealed(model, tmp_path / "other.onnx")
    with pytest.raises(
        ArtefactError, match=r"other\.onnx: the operators around its NonMaxSuppression .* are not those"
    ):
        read_portable(tmp_path / "other.onnx", passes=4)


def test_more_candidates_than_topk_gives_are_refused(tmp_path: Path) -> None:
    metadata = replace(SPEC, max_candidates=MOST_CANDIDATES + 1).to_metadata()
    many = write_artefact(tmp_path / "many.onnx", metadata)
    with pytest.raises(ArtefactError, match=r"many\.onnx: max_candidates is 3841, TensorRT's TopK gives 3840 at most"):
        read_portable(many, passes=4)
