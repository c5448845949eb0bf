_base_ = ["./twin_retinanet_r50_2x_coco.py"]

teacher = "configs/teachers/retinanet_r101_2x_coco.py"
twin = "configs/students/twin_retinanet_r50_2x_coco.py"
published = dict(teacher=38.9, distilled=39.7)
distillation = dict(
    methods=[
        dict(type="CrossKD", reused_head_index=3, cls_weight=1.0, reg_weight=1.0, reg_loss="giou"),
    ],
)
