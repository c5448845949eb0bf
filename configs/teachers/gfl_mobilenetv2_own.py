# A teacher that a CPU can train: ImageNet's MobileNetV2 under a head of full depth.
_base_ = ["../_base_/gfl_mobilenetv2.py", "../_base_/data_own.py", "../_base_/schedule_own.py"]

model = dict(neck=dict(out_channels=96), bbox_head=dict(in_channels=96, stacked_convs=4, feat_channels=96))
optim_wrapper = dict(optimizer=dict(lr=0.002))
