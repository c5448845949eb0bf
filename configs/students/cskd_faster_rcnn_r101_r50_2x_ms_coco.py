_base_ = ["./twin_faster_rcnn_r50_2x_ms_coco.py"]

teacher = "configs/teachers/faster_rcnn_r101_2x_coco.py"
twin = "configs/students/twin_faster_rcnn_r50_2x_ms_coco.py"
published = dict(teacher=39.8, distilled=41.0)
distillation = dict(methods=[dict(type="CSKD")])
