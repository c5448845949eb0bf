"""What of a detector the standard operators of an ONNX version do not have."""

from torch import nn

from pipeline.errors import ExportError

OF_DEFORMABLE_CONVOLUTIONS = 19


def check_opset(detector: nn.Module, opset: int) -> None:
    """Refuse deformable convolutions in a version without DeformConv.

    Raises:
        ExportError: names the first layer and what to set.
    """
    from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
    from mmdet.models.dense_heads import TOODHead

    if opset >= OF_DEFORMABLE_CONVOLUTIONS:
        return
    for name, module in detector.named_modules():
        if isinstance(module, DeformConv2d | ModulatedDeformConv2d | TOODHead):
            what = "reads its boxes by a" if isinstance(module, TOODHead) else "is a"
            raise ExportError(
                f"{name} {what} deformable convolution, which ONNX has from opset {OF_DEFORMABLE_CONVOLUTIONS} on, and "
                f"export.opset is {opset}: set it to {OF_DEFORMABLE_CONVOLUTIONS} in params.yaml. ONNX Runtime runs "
                "the artefact then, OpenVINO and TensorRT-RTX do not (docs/export.md)"
            )
