_base_ = ["./twin_fcos_r50_2x_ms_coco.py"]

teacher = "configs/teachers/fcos_r101_2x_ms_coco.py"
twin = "configs/students/twin_fcos_r50_2x_ms_coco.py"
published = dict(teacher=40.8, distilled=41.1)
distillation = dict(methods=[dict(type="CrossKD")])
