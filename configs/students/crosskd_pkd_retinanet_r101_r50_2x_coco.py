_base_ = ["./crosskd_retinanet_r101_r50_2x_coco.py"]

published = dict(distilled=39.8)
distillation = dict(methods=[*_base_.distillation.methods, dict(type="PKD")])
