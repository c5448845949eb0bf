_base_ = ["./twin_gfl_r18_1x_coco.py"]

teacher = "configs/teachers/gfl_r50_1x_coco.py"
twin = "configs/students/twin_gfl_r18_1x_coco.py"
published = dict(teacher=40.2)
distillation = dict(methods=[dict(type="CrossKD")])
