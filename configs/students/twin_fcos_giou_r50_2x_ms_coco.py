_base_ = ["../_base_/fcos_giou.py", "../_base_/weights_resnet50_caffe.py"]

published = dict(student=40.9)
model = dict(backbone=dict(frozen_stages=-1))
train_cfg = dict(max_epochs=24)
param_scheduler = [_base_.warm_up_from_a_third, _base_.steps_of_24_epochs]
optim_wrapper = dict(clip_grad=dict(_delete_=True, max_norm=35, norm_type=2))
