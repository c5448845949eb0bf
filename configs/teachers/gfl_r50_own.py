# mmdet's GFL-R50 for data of your own; its published COCO weights are the best start.
_base_ = [
    "../_base_/gfl_resnet.py",
    "../_base_/weights_resnet50.py",
    "../_base_/data_own.py",
    "../_base_/schedule_own.py",
]

model = dict(
    backbone=dict(depth=50),
    neck=dict(in_channels=[512, 1024, 2048], out_channels=256),
    bbox_head=dict(in_channels=256, stacked_convs=4, feat_channels=256),
)
checkpoint = dict(
    sha256_prefix="25944287",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r50_fpn_1x_coco/"
            "gfl_r50_fpn_1x_coco_20200629_121244-25944287.pth"
        )
    ],
)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
