# Size m for data of your own, from ImageNet weights. ResNet-50: for GPUs.
_base_ = [
    "../_base_/gfl.py",
    "../_base_/data_own.py",
    "../_base_/schedule_own.py",
    "../_base_/weights_resnet50.py",
]

model = dict(
    backbone=dict(
        type="ResNet",
        depth=50,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=True,
        style="pytorch",
    ),
    neck=dict(
        type="FPN",
        in_channels=[512, 1024, 2048],
        out_channels=160,
        start_level=0,
        add_extra_convs="on_output",
        num_outs=5,
    ),
    bbox_head=dict(in_channels=160, stacked_convs=3, feat_channels=160),
)
optim_wrapper = dict(optimizer=dict(lr=0.0005))
