"""The network without its post-processing, for those who bring their own: ``python -m deploy.raw_export``.

uint8 images in (of any size with ``--dynamic-size``), normalisation inside, and out come the head's tensors as the
network makes them: for each level l
``cls_l`` (logits) and ``bbox_l``, for FCOS and ATSS ``quality_l`` (centre-ness logits), for YOLOX its objectness
by that name. All are float32
``[N, channels, rows, columns]``. What they mean is in the metadata: the head's class, its strides, its classes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from deploy.graph.export import example_images, open_axes, separated
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.onnx_export import to_onnx, trace
from deploy.graph.specification import describe
from deploy.runtime.arguments import Parser
from deploy.runtime.artefact import INPUT_NAME, ArtefactSpec
from deploy.runtime.onnx_file import sealed
from pipeline.checkpoints import load_detector
from pipeline.cli import stage_main
from pipeline.detectors.kinds import DetectorKind, kind_of
from pipeline.errors import RecipeError
from pipeline.layout import ARTEFACTS, recipe_file, weights_file
from pipeline.recipes import load_resolved
from pipeline.settings import load_params
from pipeline.storage import sha256_of, write_atomic

KINDS = ("cls", "bbox", "quality")
"""What the lists of a dense head's outputs are, in their order."""

_SPEC_FIELDS = (
    "model", "classes", "input_height", "input_width", "color_order", "resize_rule", "pad_value", "precision",
    "recipe", "recipe_sha256", "weights_sha256", "scale", "size_divisor",
)  # fmt: skip


class RawDetector(nn.Module):
    """A deployable detector up to its head's outputs, as one flat tuple: all levels of a kind, then the next kind."""

    def __init__(self, detector: DeployableDetector) -> None:
        super().__init__()
        self.deployable = detector

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """``images`` uint8 [N, H, W, 3] in the artefact's colour order."""
        stock = self.deployable.detector
        outputs = stock.bbox_head(stock.extract_feat(self.deployable.normalise(images)))
        return tuple(level.float() for levels in outputs for level in levels)


def export_raw(detector: DeployableDetector, path: Path, opset: int) -> None:
    """Write the raw form of a detector to one ONNX file, in one atomic step.

    Its batch size is dynamic, and height and width are if the detector's specification says so.

    Raises:
        RecipeError: the detector has no dense head.
    """
    if kind_of(detector.detector) is not DetectorKind.SINGLE_STAGE:
        raise RecipeError(
            f"{type(detector.detector).__name__}: only a dense head has a raw form; the second stage of a two-stage "
            "detector needs the post-processing of the first: export it with `python -m stages.export`"
        )
    spec, head, raw = detector.spec, detector.detector.bbox_head, RawDetector(separated(detector)).eval()
    inputs, axes, levels = {INPUT_NAME: example_images(detector)}, open_axes(spec), len(head.prior_generator.strides)
    with torch.no_grad():
        kinds = KINDS[: len(raw(**inputs)) // levels]
    names = [f"{kind}_{level}" for kind in kinds for level in range(levels)]
    model = to_onnx(trace(raw, inputs, axes) if spec.dynamic_size else raw, inputs, names, axes, opset)
    onnx.helper.set_model_props(model, _metadata(spec, head))
    onnx.checker.check_model(model, full_check=True)
    write_atomic(path, sealed(model.SerializeToString()))


def _metadata(spec: ArtefactSpec, head: Any) -> dict[str, str]:
    """What is true of the raw form too; thresholds and NMS are the user's own."""
    whole = spec.to_metadata()
    return {
        **{name: whole[name] for name in _SPEC_FIELDS if name in whole},
        "head": json.dumps(type(head).__name__),
        "strides": json.dumps([stride[0] for stride in head.prior_generator.strides]),
        "priors_per_cell": json.dumps(head.prior_generator.num_base_priors[0]),
    }


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Write the raw form of a trained model."""
    parser = Parser(prog="python -m deploy.raw_export", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True, help="a student of params.yaml, or 'teacher'")
    parser.add_argument("--out", type=Path, help="the file to write (artefacts/MODEL.raw.onnx)")
    parser.add_argument("--dynamic-size", action="store_true", help="as export.dynamic_size")
    arguments = parser.parse_args(argv)
    settings = load_params().export
    if arguments.dynamic_size:
        settings = settings.model_copy(update={"dynamic_size": True})
    recipe, weights = load_resolved(recipe_file(arguments.model)), weights_file(arguments.model)
    stock = load_detector(recipe, weights)
    spec = describe(recipe, stock.data_preprocessor, sha256_of(weights), "", settings)
    path = arguments.out or ARTEFACTS / f"{arguments.model}.raw.onnx"
    export_raw(DeployableDetector(stock, spec), path, settings.opset)


if __name__ == "__main__":
    main()
