# GFL on ImageNet's MobileNetV2; the widths of neck and head come from the file that inherits this.
_base_ = ["./gfl.py", "./weights_mobilenetv2.py"]

model = dict(
    backbone=dict(
        type="MobileNetV2",
        out_indices=(2, 4, 7),
        frozen_stages=-1,
        norm_eval=False,
        norm_cfg=dict(type="BN", requires_grad=True),
    ),
    neck=dict(type="FPN", in_channels=[32, 96, 1280], start_level=0, add_extra_convs="on_output", num_outs=5),
)
