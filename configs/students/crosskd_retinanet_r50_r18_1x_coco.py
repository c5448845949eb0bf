_base_ = ["./twin_retinanet_r18_1x_coco.py"]

teacher = "configs/teachers/retinanet_r50_1x_coco.py"
twin = "configs/students/twin_retinanet_r18_1x_coco.py"
published = dict(teacher=36.5)
distillation = dict(methods=[dict(type="CrossKD")])
