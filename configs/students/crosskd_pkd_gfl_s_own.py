_base_ = ["./twin_gfl_s_own.py"]

twin = "configs/students/twin_gfl_s_own.py"
teacher = "configs/teachers/gfl_r50_own.py"
distillation = dict(
    methods=[
        dict(type="CrossKD", reused_head_index=1, adapter=True),
        dict(type="PKD", weight=0.25, adapter=True),
    ]
)
