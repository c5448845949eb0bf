# As published, torchvision's backbone is shown images normalised for the teacher's Detectron backbone (BGR, std 1).
_base_ = ["../_base_/fcos_giou.py", "../_base_/weights_resnet18.py"]

published = dict(student=32.5)
model = dict(backbone=dict(depth=18, style="pytorch", frozen_stages=-1), neck=dict(in_channels=[64, 128, 256, 512]))
optim_wrapper = dict(clip_grad=dict(_delete_=True, max_norm=35, norm_type=2))
