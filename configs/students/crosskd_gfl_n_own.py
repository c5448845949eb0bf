_base_ = ["./twin_gfl_n_own.py"]

twin = "configs/students/twin_gfl_n_own.py"
teacher = "configs/teachers/gfl_mobilenetv2_own.py"
distillation = dict(methods=[dict(type="CrossKD", reused_head_index=1, adapter=True)])
