"""torch to ONNX: the detector as it ships, and its export."""
