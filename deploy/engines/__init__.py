"""ONNX to TensorRT engines and to a Triton model repository."""
