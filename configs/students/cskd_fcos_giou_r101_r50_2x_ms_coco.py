_base_ = ["./twin_fcos_giou_r50_2x_ms_coco.py"]

teacher = "configs/teachers/fcos_giou_r101_2x_ms_coco.py"
twin = "configs/students/twin_fcos_giou_r50_2x_ms_coco.py"
published = dict(teacher=42.6, distilled=42.0)
distillation = dict(methods=[dict(type="CSKD")])
