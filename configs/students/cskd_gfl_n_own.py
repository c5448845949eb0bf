_base_ = ["./twin_gfl_n_own.py", "../_base_/cskd_gfl_small.py"]

twin = "configs/students/twin_gfl_n_own.py"
teacher = "configs/teachers/gfl_mobilenetv2_own.py"
