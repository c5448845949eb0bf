_base_ = ["./twin_gfl_r50_2x_ms_coco.py"]

teacher = "configs/teachers/gfl_r101_2x_ms_coco.py"
twin = "configs/students/twin_gfl_r50_2x_ms_coco.py"
published = dict(teacher=44.9, distilled=44.5)
distillation = dict(methods=[dict(type="CSKD")])
