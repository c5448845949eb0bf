_base_ = ["mmdet::gfl/gfl_r50_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet18.py"]

published = dict(student=35.8)
auto_scale_lr = dict(enable=True)
model = dict(backbone=dict(depth=18, frozen_stages=-1), neck=dict(in_channels=[64, 128, 256, 512]))
train_dataloader = dict(dataset=dict(pipeline=_base_.from_480))
train_cfg = dict(max_epochs=12)
param_scheduler = [_base_.warm_up_from_a_third, _base_.steps_of_12_epochs]
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
