# The published file says 8 images a GPU and not how many GPUs; the learning rate is for 16 images in all.
_base_ = ["mmdet::atss/atss_r50_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet50.py"]

published = dict(student=39.4)
auto_scale_lr = dict(enable=True)
