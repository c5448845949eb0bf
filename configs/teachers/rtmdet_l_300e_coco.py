_base_ = ["mmdet::rtmdet/rtmdet_l_8xb32-300e_coco.py", "../_base_/rtmdet_coco.py"]

published = dict(teacher=51.3)
checkpoint = dict(
    sha256_prefix="5a0be7c4",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_l_8xb32-300e_coco/"
            "rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth"
        )
    ],
)
auto_scale_lr = _base_.rates_for_256_images
model = dict(data_preprocessor=_base_.multiples)
