_base_ = ["./twin_yolox_tiny_300e_coco.py"]

teacher = "configs/teachers/yolox_l_300e_coco.py"
twin = "configs/students/twin_yolox_tiny_300e_coco.py"
published = dict(teacher=49.4)
distillation = dict(methods=[dict(type="CSKD", branch_adapt=True)])
