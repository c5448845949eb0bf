_base_ = ["./twin_gfl_m_own.py", "../_base_/cskd_gfl_small.py"]

twin = "configs/students/twin_gfl_m_own.py"
teacher = "configs/teachers/gfl_r50_own.py"
