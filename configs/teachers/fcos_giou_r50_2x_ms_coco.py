# CSKD's teacher; its weights were never published, so this pipeline trains it.
_base_ = ["../_base_/fcos_giou.py", "../_base_/weights_resnet50_caffe.py"]

published = dict(teacher=40.9)
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=24)
param_scheduler = [_base_.warm_up_from_a_third, _base_.steps_of_24_epochs]
