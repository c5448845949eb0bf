# A teacher that a CPU can train: ImageNet's MobileNetV2 under a head of full depth.
_base_ = [
    "../_base_/gfl.py",
    "../_base_/data_own.py",
    "../_base_/schedule_own.py",
    "../_base_/weights_mobilenetv2.py",
]

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
