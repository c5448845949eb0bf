_base_ = ["./twin_fcos_giou_r18_1x_ms_coco.py"]

teacher = "configs/teachers/fcos_giou_r50_2x_ms_coco.py"
twin = "configs/students/twin_fcos_giou_r18_1x_ms_coco.py"
published = dict(teacher=40.9, distilled=35.9)
distillation = dict(methods=[dict(type="CSKD")])
