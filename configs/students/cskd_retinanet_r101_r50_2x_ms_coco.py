_base_ = ["./twin_retinanet_r50_2x_ms_coco.py"]

teacher = "configs/teachers/retinanet_r101_2x_coco.py"
twin = "configs/students/twin_retinanet_r50_2x_ms_coco.py"
published = dict(teacher=38.9, distilled=40.2)
distillation = dict(methods=[dict(type="CSKD")])
