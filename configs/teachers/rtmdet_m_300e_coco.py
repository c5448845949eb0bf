_base_ = ["mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py", "../_base_/rtmdet_coco.py"]

published = dict(teacher=49.1)
checkpoint = dict(
    sha256_prefix="229f527c",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_m_8xb32-300e_coco/"
            "rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth"
        )
    ],
)
auto_scale_lr = _base_.rates_for_256_images
model = dict(data_preprocessor=_base_.multiples)
