_base_ = ["../_base_/gfl_mobilenetv2.py", "../_base_/data_embedded.py", "../_base_/schedule_adamw_cosine.py"]

_iterations = 3000

model = dict(neck=dict(out_channels=96), bbox_head=dict(in_channels=96, stacked_convs=4, feat_channels=96))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, T_max=_iterations - 100, end=_iterations, eta_min=0),
]
train_cfg = dict(max_iters=_iterations, val_interval=300)
# As params.yaml lists it for the embedded run; `make use DATA=digits` goes back to it.
checkpoints = dict(
    digits=dict(
        sources=["configs/teachers/gfl_mobilenetv2_digits/weights.safetensors"],
        sha256="899924333223b5a267fe0f6dc5f94f116a4dadcba39da846daf6193eb429cf4d",
    )
)
published_ap = dict(digits=87.0)
