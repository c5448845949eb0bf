_base_ = ["./twin_gfl_mobilenetv2_embedded.py"]

distillation = dict(
    methods=[dict(type="CrossKD", reused_head_index=1, cls_weight=1.0, reg_weight=4.0, adapter=True)],
)
