_base_ = ["./twin_gfl_mobilenetv2_embedded.py"]

teacher = "configs/teachers/gfl_mobilenetv2_embedded.py"
twin = "configs/students/twin_gfl_mobilenetv2_embedded.py"

distillation = dict(methods=[dict(type="CrossKD", reused_head_index=1, adapter=True)])
