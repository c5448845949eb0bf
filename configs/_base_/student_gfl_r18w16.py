# The embedded student: ResNet-18 at a quarter of its width, two tower convolutions, from scratch.
# The twin and every distilled student inherit this file, so that only the method differs.
_base_ = ["./gfl.py", "./data_embedded.py", "./schedule_adamw_cosine.py"]

_iterations = 500

model = dict(
    backbone=dict(
        type="ResNet",
        depth=18,
        base_channels=16,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        style="pytorch",
    ),
    neck=dict(
        type="FPN", in_channels=[32, 64, 128], out_channels=64, start_level=0, add_extra_convs="on_output", num_outs=5
    ),
    bbox_head=dict(in_channels=64, stacked_convs=2, feat_channels=64),
)
# The best of 3e-3, 6e-3 and 12e-3 for the twin, on the val split (docs/results.md).
optim_wrapper = dict(optimizer=dict(lr=6e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, T_max=_iterations - 100, end=_iterations, eta_min=0),
]
train_cfg = dict(max_iters=_iterations, val_interval=250)
