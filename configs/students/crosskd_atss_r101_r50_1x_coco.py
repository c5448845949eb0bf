_base_ = ["./twin_atss_r50_1x_coco.py"]

teacher = "configs/teachers/atss_r101_1x_coco.py"
twin = "configs/students/twin_atss_r50_1x_coco.py"
published = dict(teacher=41.5, distilled=41.8)
distillation = dict(methods=[dict(type="CrossKD")])
