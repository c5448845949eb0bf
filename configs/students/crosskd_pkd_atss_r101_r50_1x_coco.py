_base_ = ["./crosskd_atss_r101_r50_1x_coco.py"]

published = dict(distilled=41.8)
distillation = dict(methods=[*_base_.distillation.methods, dict(type="PKD")])
