_base_ = ["./twin_gfl_r18_1x_ms_coco.py"]

teacher = "configs/teachers/gfl_r50_2x_ms_coco.py"
twin = "configs/students/twin_gfl_r18_1x_ms_coco.py"
published = dict(teacher=42.9, distilled=38.9)
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
