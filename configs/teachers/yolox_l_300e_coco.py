_base_ = ["mmdet::yolox/yolox_l_8xb8-300e_coco.py", "../_base_/yolox_coco.py"]

published = dict(teacher=49.4)
checkpoint = dict(
    sha256_prefix="d3bd2b23",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_l_8x8_300e_coco/"
            "yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth"
        )
    ],
)
auto_scale_lr = _base_.rates_for_64_images
