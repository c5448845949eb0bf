# Size n for data of your own, from ImageNet weights. MobileNetV2 under a narrow head: for CPUs, phones and browsers.
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
        type="FPN", in_channels=[32, 96, 1280], out_channels=64, start_level=0, add_extra_convs="on_output", num_outs=5
    ),
    bbox_head=dict(in_channels=64, stacked_convs=2, feat_channels=64),
)
optim_wrapper = dict(optimizer=dict(lr=0.002))
