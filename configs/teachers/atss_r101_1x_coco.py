_base_ = ["mmdet::atss/atss_r101_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet101.py"]

published = dict(teacher=41.5)
checkpoint = dict(
    sha256_prefix="dfcadd6f",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/atss/atss_r101_fpn_1x_coco/"
            "atss_r101_fpn_1x_20200825-dfcadd6f.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
