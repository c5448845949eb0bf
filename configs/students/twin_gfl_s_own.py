# Size s for data of your own, from ImageNet weights. ResNet-18: for small GPUs and fast CPUs.
_base_ = [
    "../_base_/gfl.py",
    "../_base_/data_own.py",
    "../_base_/schedule_own.py",
    "../_base_/weights_resnet18.py",
]

model = dict(
    backbone=dict(
        type="ResNet",
        depth=18,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=True,
        style="pytorch",
    ),
    neck=dict(
        type="FPN", in_channels=[128, 256, 512], out_channels=96, start_level=0, add_extra_convs="on_output", num_outs=5
    ),
    bbox_head=dict(in_channels=96, stacked_convs=2, feat_channels=96),
)
optim_wrapper = dict(optimizer=dict(lr=0.001))
