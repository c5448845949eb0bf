import pytest

from pipeline.records import BackendRun
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
    ("backend", "precision", "device", "title"),
    [
        ("openvino", "bf16", "cpu", "OpenVINO bf16"),
        ("openvino_bf16", "bf16", "cpu", "OpenVINO bf16"),
        ("onnxruntime-cuda", "fp16", "cuda", "ONNX Runtime CUDA fp16"),
        ("pytorch", "fp32", "cuda", "PyTorch fp32 (cuda)"),
        ("tensorrt", "", "", "TensorRT"),
    ],
)
def test_run_title(backend, precision, device, title):
    run = BackendRun.model_construct(backend=backend, precision=precision, device=device)
    assert run_title(run) == title
