_base_ = ["./twin_gfl_r18_1x_coco.py"]

teacher = "configs/teachers/gfl_r50_1x_coco.py"
twin = "configs/students/twin_gfl_r18_1x_coco.py"
published = dict(teacher=40.2)
distillation = dict(
    methods=[
        dict(type="CrossKD", reused_head_index=3, cls_weight=1.0, reg_weight=4.0, reg_loss="kl"),
    ],
)
