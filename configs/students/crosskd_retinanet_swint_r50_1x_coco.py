_base_ = ["./twin_retinanet_r50_1x_coco.py"]

teacher = "configs/teachers/retinanet_swint_1x_coco.py"
twin = "configs/students/twin_retinanet_r50_1x_coco.py"
published = dict(teacher=37.3, distilled=38.0)
distillation = dict(methods=[dict(type="CrossKD")])
