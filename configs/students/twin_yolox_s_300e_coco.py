_base_ = ["mmdet::yolox/yolox_s_8xb8-300e_coco.py", "../_base_/yolox_coco.py"]

published = dict(student=40.5)
auto_scale_lr = _base_.rates_for_64_images
