"""Which layers of a GFL-R50 with random weights int8 costs most: each quantised alone, on two images."""

from collections.abc import Callable

from benchmarks.scale.calibration import exported_with_images
from deploy.precision.calibration import activation_ranges
from deploy.precision.layer_ranking import rank_layers
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.runtime.images import read_image
from deploy.runtime.preprocess import graph_inputs

_IMAGES = 2


def prepare(width: int) -> Callable[[], object]:
    """Export the model for a canvas of ``width`` and COCO's aspect ratio, and take the ranges of its tensors."""
    model, spec, files = exported_with_images(width)
    quantiser = Quantiser(model, activation_ranges(model, spec, files, CALIBRATED), FORMS["int8"])
    inputs = graph_inputs([read_image(file) for file in files[:_IMAGES]], spec)

    def run() -> str:
        return f"{len(rank_layers(quantiser, inputs))} layers"

    return run
