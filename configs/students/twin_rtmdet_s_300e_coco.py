_base_ = [
    "mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py",
    "../_base_/rtmdet_coco.py",
    "../_base_/weights_cspnext_s.py",
]

published = dict(student=44.5)
auto_scale_lr = _base_.rates_for_256_images
model = dict(data_preprocessor=_base_.multiples)
