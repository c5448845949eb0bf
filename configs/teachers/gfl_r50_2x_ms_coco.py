_base_ = ["mmdet::gfl/gfl_r50_fpn_ms-2x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet50.py"]

published = dict(teacher=42.9)
checkpoint = dict(
    sha256_prefix="37bb1edc",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r50_fpn_mstrain_2x_coco/"
            "gfl_r50_fpn_mstrain_2x_coco_20200629_213802-37bb1edc.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
