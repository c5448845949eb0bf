_base_ = ["./twin_rtmdet_tiny_300e_coco.py"]

teacher = "configs/teachers/rtmdet_m_300e_coco.py"
twin = "configs/students/twin_rtmdet_tiny_300e_coco.py"
published = dict(teacher=49.1)
distillation = dict(methods=[dict(type="CrossKD", reused_head_index=1, adapter=True)])
