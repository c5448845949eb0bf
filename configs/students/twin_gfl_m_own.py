# Size m for data of your own, from ImageNet weights. ResNet-50: for GPUs.
_base_ = [
    "../_base_/gfl_resnet.py",
    "../_base_/weights_resnet50.py",
    "../_base_/data_own.py",
    "../_base_/schedule_own.py",
]

model = dict(
    backbone=dict(depth=50),
    neck=dict(in_channels=[512, 1024, 2048], out_channels=160),
    bbox_head=dict(in_channels=160, stacked_convs=3, feat_channels=160),
)
optim_wrapper = dict(optimizer=dict(lr=0.0005))
