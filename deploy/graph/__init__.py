"""torch to ONNX: the detector as it ships, and its export."""

import pipeline  # noqa: F401  (offers mmdet its operators, which it asks for as it is imported)
