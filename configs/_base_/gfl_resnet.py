# GFL on a ResNet from ImageNet weights; its depth, the weights and the widths come from the file that inherits this.
_base_ = ["./gfl.py"]

model = dict(
    backbone=dict(
        type="ResNet",
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=True,
        style="pytorch",
    ),
    neck=dict(type="FPN", start_level=0, add_extra_convs="on_output", num_outs=5),
)
