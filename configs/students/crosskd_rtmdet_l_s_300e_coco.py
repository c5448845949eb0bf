_base_ = ["./twin_rtmdet_s_300e_coco.py"]

teacher = "configs/teachers/rtmdet_l_300e_coco.py"
twin = "configs/students/twin_rtmdet_s_300e_coco.py"
published = dict(teacher=51.3)
distillation = dict(methods=[dict(type="CrossKD", reused_head_index=1, adapter=True)])
