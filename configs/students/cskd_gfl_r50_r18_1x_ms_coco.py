_base_ = ["./twin_gfl_r18_1x_ms_coco.py"]

teacher = "configs/teachers/gfl_r50_2x_ms_coco.py"
twin = "configs/students/twin_gfl_r18_1x_ms_coco.py"
published = dict(teacher=42.9, distilled=38.9)
distillation = dict(methods=[dict(type="CSKD")])
