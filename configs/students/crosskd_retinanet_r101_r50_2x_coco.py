_base_ = ["./twin_retinanet_r50_2x_coco.py"]

teacher = "configs/teachers/retinanet_r101_2x_coco.py"
twin = "configs/students/twin_retinanet_r50_2x_coco.py"
published = dict(teacher=38.9, distilled=39.7)
distillation = dict(methods=[dict(type="CrossKD")])
