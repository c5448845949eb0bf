# As in the published students, P6 and P7 are made of P5 (the teachers make them of C5, mmdet's default).
_base_ = ["mmdet::retinanet/retinanet_r18_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet18.py"]

auto_scale_lr = dict(enable=True)
model = dict(neck=dict(add_extra_convs="on_output"))
