_base_ = ["./crosskd_gfl_r101_r50_1x_coco.py"]

published = dict(distilled=43.9)
distillation = dict(methods=[*_base_.distillation.methods, dict(type="PKD")])
