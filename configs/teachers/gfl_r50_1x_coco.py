_base_ = ["mmdet::gfl/gfl_r50_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet50.py"]

published = dict(teacher=40.2)
checkpoint = dict(
    sha256_prefix="25944287",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r50_fpn_1x_coco/"
            "gfl_r50_fpn_1x_coco_20200629_121244-25944287.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
