# AdamW with a short warm-up and a cosine to zero. Set `train.epochs` in params.yaml: everything here goes with it.
_base_ = ["./schedule_adamw_cosine.py"]

_iterations = 3000

param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, T_max=_iterations - 100, end=_iterations, eta_min=0),
]
train_cfg = dict(max_iters=_iterations, val_interval=300)
