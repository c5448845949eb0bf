import pytest

from pipeline.deploy_records import BackendRun
from pipeline.report.names import backend_title, run_title


@pytest.mark.parametrize(
    ("backend", "title"),
    [
        ("onnxruntime", "ONNX Runtime"),
        ("onnxruntime-cuda", "ONNX Runtime CUDA"),
        ("openvino_bf16", "OpenVINO bf16"),
        ("tensorrt", "TensorRT"),
        ("tensorrt_rtx", "TensorRT-RTX"),
        ("ncnn", "ncnn"),
    ],
)
def test_backend_title(backend, title):
    assert backend_title(backend) == title


@pytest.mark.parametrize(
    ("backend", "artefact", "precision", "device", "title"),
    [
        ("openvino-bf16", "fp32", "bf16", "cpu", "OpenVINO bf16"),
        ("openvino", "fp32", "bf16", "cpu", "OpenVINO bf16"),
        ("openvino", "fp16", "fp32", "cpu", "OpenVINO fp16"),
        ("onnxruntime", "int8_symmetric", "int8_symmetric", "cpu", "ONNX Runtime int8 symmetric"),
        ("onnxruntime-cuda", "fp16", "fp16", "cuda", "ONNX Runtime CUDA fp16"),
        ("pytorch", "fp32", "fp32", "cuda", "PyTorch fp32 (cuda)"),
    ],
)
def test_run_title(backend, artefact, precision, device, title):
    run = BackendRun.model_construct(
        backend=backend, artefact=artefact, precision=precision, device=device, status="ok"
    )
    assert run_title(run) == title


def test_a_backend_that_did_not_run_stands_for_no_precision():
    run = BackendRun.model_construct(backend="tensorrt", artefact="fp32", precision="", device="", status="not run")
    assert run_title(run) == "TensorRT"
