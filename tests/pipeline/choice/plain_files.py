"""Plain configurations of mmdet's, as a user has them: small detectors that take no weights from anywhere."""

from pathlib import Path

_BASES = {
    "GFL": "gfl/gfl_r50_fpn_1x_coco.py",
    "ATSS": "atss/atss_r50_fpn_1x_coco.py",
    "RetinaNet": "retinanet/retinanet_r50_fpn_1x_coco.py",
    "FCOS": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "TOOD": "tood/tood_r50_fpn_1x_coco.py",
    "FreeAnchor": "free_anchor/freeanchor_r50_fpn_1x_coco.py",
    "RTMDet": "rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
}
_RESNET = """
    backbone=dict(depth=18, base_channels=8, init_cfg=None, norm_cfg=dict(type="BN", requires_grad=True)),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels={width}),
"""
_CSPNEXT = """
    backbone=dict(deepen_factor=0.1, widen_factor=0.125, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128], out_channels={width}),
"""


def plain(family: str, more: str = "", width: int = 32, convs: int = 2) -> str:
    """The text of a configuration that inherits mmdet's own; ``more`` follows."""
    parts = (_CSPNEXT if family == "RTMDet" else _RESNET).format(width=width)
    return f"""_base_ = "mmdet::{_BASES[family]}"
model = dict(
    {parts.strip()}
    bbox_head=dict(in_channels={width}, feat_channels={width}, stacked_convs={convs}),
)
{more}
"""


FASTER_RCNN = """_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
model = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=16), bbox_head=dict(in_channels=16, fc_out_channels=32)),
)
"""


def written(path: Path, text: str) -> Path:
    """A configuration in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
