"""ONNX to ONNX: an artefact in fp16 and int8."""
