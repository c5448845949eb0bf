# FCOS with center sampling, normalised distances and GIoU, the centerness on the classification branch (CSKD's).
# mmdet's own file has the centerness on the other branch and Detectron2's backbone; these weights are Detectron's.
_base_ = ["mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py", "./coco.py"]

auto_scale_lr = dict(enable=True)
model = dict(
    data_preprocessor=dict(mean=[102.9801, 115.9465, 122.7717]),
    bbox_head=dict(centerness_on_reg=False),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.from_640))
