_base_ = ["./twin_faster_rcnn_r18_1x_ms_coco.py"]

teacher = "configs/teachers/faster_rcnn_r50_2x_coco.py"
twin = "configs/students/twin_faster_rcnn_r18_1x_ms_coco.py"
published = dict(teacher=38.4, distilled=36.6)
distillation = dict(methods=[dict(type="CSKD")])
