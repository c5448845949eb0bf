_base_ = ["mmdet::gfl/gfl_r50_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet18.py"]

auto_scale_lr = dict(enable=True)
model = dict(backbone=dict(depth=18), neck=dict(in_channels=[64, 128, 256, 512]))
