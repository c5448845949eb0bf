_base_ = ["../_base_/student_gfl_r18w16.py"]

teacher = "configs/teachers/gfl_mobilenetv2_embedded.py"
twin = "configs/students/twin_gfl_r18w16_embedded.py"

# CrossKD as in the recipe of its own, and PKD lightly: 1 already cost 1.7 AP on val (docs/results.md).
distillation = dict(
    methods=[
        dict(type="CrossKD", reused_head_index=1, adapter=True),
        dict(type="PKD", weight=0.25, adapter=True),
    ],
    schedule=dict(decay_begin=250, decay_end=400),
)
