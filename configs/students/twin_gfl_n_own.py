# Size n for data of your own, from ImageNet weights. MobileNetV2 under a narrow head: for CPUs, phones and browsers.
_base_ = ["../_base_/gfl_mobilenetv2.py", "../_base_/data_own.py", "../_base_/schedule_own.py"]

model = dict(neck=dict(out_channels=64), bbox_head=dict(in_channels=64, stacked_convs=2, feat_channels=64))
optim_wrapper = dict(optimizer=dict(lr=0.002))
