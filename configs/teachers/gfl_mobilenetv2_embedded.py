_base_ = [
    "../_base_/gfl.py",
    "../_base_/data_embedded.py",
    "../_base_/schedule_adamw_cosine.py",
    "../_base_/weights_mobilenetv2.py",
]

_iterations = 3000

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
