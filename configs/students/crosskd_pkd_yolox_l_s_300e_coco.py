_base_ = ["./crosskd_yolox_l_s_300e_coco.py"]

distillation = dict(methods=[*_base_.distillation.methods, dict(type="PKD", adapter=True)])
