# The teacher's backbone from the same ImageNet weights with a small head: as many FLOPs as the ResNet-18 student.
_base_ = ["../teachers/gfl_mobilenetv2_embedded.py"]

_iterations = 600

model = dict(
    neck=dict(out_channels=32),
    bbox_head=dict(in_channels=32, stacked_convs=2, feat_channels=32),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, T_max=_iterations - 100, end=_iterations, eta_min=0),
]
train_cfg = dict(max_iters=_iterations, val_interval=200)
