_base_ = ["mmdet::gfl/gfl_r50_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet50.py"]

published = dict(student=40.2)
auto_scale_lr = dict(enable=True)
