# CSKD of a GFL on small canvases: the embedded data, and pictures of one's own.
#
# Squared errors of features weigh a hundredth, and predictions a tenth, of what is published for GFL. The embedded
# teacher's P6 and P7, which hardly carry an object there, are so large that with the published weights the neck's four
# terms had first gradients of norm 574 to 1,758 at the backbone, against 16 of CrossKD's box loss and 0.1 of the
# labels, and the norm is clipped at 10. With these no term is above 18. On a CPU every size's teacher starts from that
# one's weights, and any that is trained on such canvases has nothing on P6 and P7 to keep them small. The cosines weigh
# what is published. They are not tuned beyond that.
_feature = (0.01, 0.5)

distillation = dict(
    methods=[
        dict(
            type="CSKD",
            neck_weight=_feature,
            roi_weight=_feature,
            mask_weight=_feature,
            prediction_weight=(0.1, 0.05),
            # Teachers have four tower convolutions and students fewer, of other widths: only the last ones are
            # compared, through 1x1 convolutions.
            branch_convs="last",
            branch_adapt=True,
        )
    ]
)
