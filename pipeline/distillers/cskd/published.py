"""The arguments of CSKD in a recipe. The defaults, and what a family has otherwise, are the published settings.

A weight is a pair: of the guided squared error and of the cosine distance. A loss of weight 0 (of both numbers of its
pair) is not computed, and its modules are not made.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from pipeline.detectors import Batch
from pipeline.distillers.cskd.annotated_regions import Size
from pipeline.distillers.cskd.blocks import NeckWeights, Switches
from pipeline.distillers.cskd.cosine_losses import Weights
from pipeline.distillers.cskd.single_stage_preflight import BranchConvs
from pipeline.distillers.method_settings import MethodSettings, Switch, Weight


def weight_pair(value: Any) -> Weights:
    """Two numbers as weights; raises ``ValueError`` for anything else."""
    pair = list(value) if isinstance(value, list | tuple) else []
    if len(pair) != 2 or not all(isinstance(part, int | float) and 0 <= part < math.inf for part in pair):
        raise ValueError("not two numbers that are not negative")
    return Weights(*pair)


Pair = Annotated[
    Weights,
    PlainValidator(weight_pair),
    Field(description="two numbers that are not negative: of the squared error and of the cosine distance"),
]


class SharedSettings(MethodSettings):
    """What CSKD has for every kind of detector.

    Attributes:
        neck_weight: of the FPN outputs' comparison.
        roi_weight: the same within the annotated boxes, pooled.
        mask_weight: the same over the foreground and over the background.
        prediction_weight: of the predictions; of a Faster R-CNN, the second stage's on the teacher's regions.
        assistant_weight: factor on the losses of the assistant predictors.
        detach_guidance: let no gradient flow through the guidance factor of the squared error.
        count_outside: count a cosine distance of 1 for each cell outside a mask: a constant, as published.
        box_frame: what a box is measured in before it is drawn on a level: ``image``, its size without padding, as
            published, which stretches the boxes of padded images; or ``batch``, the padded size.
    """

    neck_weight: Pair = Weights(1.0, 0.5)
    roi_weight: Pair = Weights(1.0, 0.5)
    mask_weight: Pair = Weights(1.0, 0.5)
    prediction_weight: Pair = Weights(1.0, 0.5)
    assistant_weight: Weight = 1.0
    detach_guidance: Switch = False
    count_outside: Switch = True
    box_frame: Literal["image", "batch"] = "image"

    @property
    def neck(self) -> NeckWeights:
        """The weights of all comparisons of FPN outputs."""
        return NeckWeights(self.neck_weight, self.roi_weight, self.mask_weight)

    @property
    def switches(self) -> Switches:
        """Where the comparisons leave the published computation."""
        return Switches(self.detach_guidance, self.count_outside)

    def frames(self, batch: Batch) -> list[Size]:
        """What the boxes of each image are measured in: height and width in pixels."""
        return batch.image_shapes if self.box_frame == "image" else [batch.input_shape] * len(batch.image_shapes)


class CSKDSettings(SharedSettings):
    """Arguments for a single-stage student.

    Attributes:
        cls_branch_weight, reg_branch_weight: of the tower convolutions' outputs.
        branch_convs: tower convolutions to compare: ``all`` (one by one, of towers of one depth), ``last`` (of towers
            of any depths), or pairs of 1-based numbers, the student's first.
        neck_adapt: compare FPN outputs after a 1x1 convolution of each level; needed where the widths differ.
        branch_adapt: the same of the tower features.
        gamma, alpha: of the soft focal loss of the assistant's scores.
    """

    cls_branch_weight: Pair = Weights(1.0, 0.5)
    reg_branch_weight: Pair = Weights(1.0, 0.5)
    # What else it may be depends on the towers; the check of the pair says so.
    branch_convs: Annotated[BranchConvs, Field(description="'all', 'last', or pairs such as [[1, 2], [2, 4]]")] = "all"
    neck_adapt: Switch = True
    branch_adapt: Switch = False
    gamma: Weight = 2.0
    alpha: Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")] = 0.25


class TwoStageCSKDSettings(SharedSettings):
    """Arguments for a two-stage student.

    Attributes:
        rpn_weight: of the RPN's features.
        rpn_prediction_weight: of the RPN's predictions.
        region_weight: of the second stage's pooled features, for each of the two sets of regions.
        hidden_weight: of the second stage's hidden activations on the teacher's regions.
    """

    rpn_weight: Pair = Weights(1.0, 0.5)
    rpn_prediction_weight: Pair = Weights(1.0, 0.5)
    region_weight: Pair = Weights(1.0, 0.5)
    hidden_weight: Pair = Weights(1.0, 1.0)
    prediction_weight: Pair = Weights(1.0, 1.0)


PUBLISHED: dict[str, dict[str, Any]] = {
    "GFL": {},
    # With a ResNet-101 teacher; the one with a ResNet-50 has (1, 0.5) throughout.
    "RetinaNet": {
        **dict.fromkeys(("neck_weight", "roi_weight", "mask_weight", "prediction_weight"), (1.0, 2.0)),
        **dict.fromkeys(("cls_branch_weight", "reg_branch_weight"), (5.0, 2.0)),
    },
    "FCOS": {"branch_adapt": True},
}
"""What the released configurations of a family have otherwise than the defaults of :class:`CSKDSettings`."""
