_base_ = ["../_base_/student_gfl_r18w16.py"]

distillation = dict(methods=[dict(type="CrossKD", reused_head_index=2, cls_weight=1.0, reg_weight=4.0, adapter=True)])
