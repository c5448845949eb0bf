_base_ = ["../_base_/student_gfl_r18w16.py"]

teacher = "configs/teachers/gfl_mobilenetv2_embedded.py"
twin = "configs/students/twin_gfl_r18w16_embedded.py"

# Squared errors of features weigh a hundredth, and predictions a tenth, of what is published for GFL. This teacher's
# P6 and P7, which hardly carry an object here, are so large that with the published weights the neck's four terms had
# first gradients of norm 574 to 1,758 at the backbone, against 16 of CrossKD's box loss and 0.1 of the labels. With
# these no term is above 18. They are not tuned beyond that.
_feature = (0.01, 0.5)

distillation = dict(
    methods=[
        dict(
            type="CSKD",
            neck_weight=_feature,
            roi_weight=_feature,
            mask_weight=_feature,
            prediction_weight=(0.1, 0.05),
            # The teacher has four tower convolutions of 96 channels, the student two of 64: only the last ones are
            # compared, through 1x1 convolutions.
            branch_convs="last",
            branch_adapt=True,
        )
    ],
    schedule=dict(decay_begin=250, decay_end=400),
)
