_base_ = ["./twin_retinanet_r18_1x_ms_coco.py"]

teacher = "configs/teachers/retinanet_r101_2x_coco.py"
twin = "configs/students/twin_retinanet_r18_1x_ms_coco.py"
published = dict(teacher=38.9, distilled=35.8)
distillation = dict(methods=[dict(type="CSKD")])
