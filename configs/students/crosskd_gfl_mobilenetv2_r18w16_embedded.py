_base_ = ["../_base_/student_gfl_r18w16.py"]

distillation = dict(
    # One of the student's two tower convolutions stays free for its own predictions, as in the published recipes
    # (three of four are reused there).
    methods=[dict(type="CrossKD", reused_head_index=1, cls_weight=1.0, reg_weight=4.0, adapter=True)],
    schedule=dict(),
)
