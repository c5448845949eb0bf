_base_ = ["./twin_gfl_r50_1x_coco.py"]

teacher = "configs/teachers/gfl_r101_2x_ms_coco.py"
twin = "configs/students/twin_gfl_r50_1x_coco.py"
published = dict(teacher=44.9, distilled=43.7)
distillation = dict(methods=[dict(type="CrossKD")])
