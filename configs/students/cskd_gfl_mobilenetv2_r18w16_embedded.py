_base_ = ["../_base_/student_gfl_r18w16.py", "../_base_/cskd_gfl_small.py"]

teacher = "configs/teachers/gfl_mobilenetv2_embedded.py"
twin = "configs/students/twin_gfl_r18w16_embedded.py"

distillation = dict(schedule=dict(decay_begin=250, decay_end=400))
