_base_ = ["../_base_/student_gfl_r18w16.py"]

# CrossKD as in the recipe of its own, and PKD with its published weight for GFL.
distillation = dict(
    methods=[
        dict(type="CrossKD", reused_head_index=1, cls_weight=1.0, reg_weight=4.0, adapter=True),
        dict(type="PKD", weight=6.0, adapter=True),
    ],
    schedule=dict(decay_begin=350, decay_end=600),
)
