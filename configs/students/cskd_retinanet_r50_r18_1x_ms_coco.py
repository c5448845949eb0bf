_base_ = ["./twin_retinanet_r18_1x_ms_coco.py"]

teacher = "configs/teachers/retinanet_r50_2x_coco.py"
twin = "configs/students/twin_retinanet_r18_1x_ms_coco.py"
published = dict(teacher=37.4, distilled=35.2)
# With a ResNet-50 teacher all weights are published otherwise than for RetinaNet with a ResNet-101.
distillation = dict(
    methods=[
        dict(
            type="CSKD",
            neck_weight=(1.0, 0.5),
            roi_weight=(1.0, 0.5),
            mask_weight=(1.0, 0.5),
            reg_branch_weight=(1.0, 0.5),
            cls_branch_weight=(1.0, 0.5),
            prediction_weight=(1.0, 0.5),
        ),
    ],
)
