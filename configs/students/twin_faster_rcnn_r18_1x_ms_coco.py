# The published file stops after 1 epoch with steps at 8 and 11; 12 epochs are meant.
_base_ = ["mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet18.py"]

published = dict(student=34.5)
auto_scale_lr = dict(enable=True)
model = dict(backbone=dict(depth=18, frozen_stages=-1), neck=dict(in_channels=[64, 128, 256, 512]))
train_dataloader = dict(dataset=dict(pipeline=_base_.from_640))
train_cfg = dict(max_epochs=12)
param_scheduler = [_base_.warm_up_from_a_thousandth, _base_.steps_of_12_epochs]
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
