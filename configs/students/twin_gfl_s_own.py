# Size s for data of your own, from ImageNet weights. ResNet-18: for small GPUs and fast CPUs.
_base_ = [
    "../_base_/gfl_resnet.py",
    "../_base_/weights_resnet18.py",
    "../_base_/data_own.py",
    "../_base_/schedule_own.py",
]

model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=[128, 256, 512], out_channels=96),
    bbox_head=dict(in_channels=96, stacked_convs=2, feat_channels=96),
)
optim_wrapper = dict(optimizer=dict(lr=0.001))
