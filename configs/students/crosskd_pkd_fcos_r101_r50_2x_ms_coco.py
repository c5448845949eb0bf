_base_ = ["./crosskd_fcos_r101_r50_2x_ms_coco.py"]

published = dict(distilled=41.3)
distillation = dict(methods=[*_base_.distillation.methods, dict(type="PKD")])
