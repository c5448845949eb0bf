_base_ = ["mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet101.py"]

published = dict(teacher=44.9)
checkpoint = dict(
    sha256_prefix="dd12f847",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r101_fpn_mstrain_2x_coco/"
            "gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
