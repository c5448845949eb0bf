"""The module that ships, run once on a device without memory: shapes are computed and nothing else."""

from collections.abc import Collection, Mapping
from math import lcm

import torch
from mmdet.models.detectors.base import BaseDetector

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.opsets import check_opset
from deploy.graph.specification import describe
from deploy.runtime.artefact import ArtefactSpec
from pipeline.complexity import run_on_paper
from pipeline.deploy_settings import ExportSettings
from pipeline.detectors import flow_of
from pipeline.detectors.kinds import dense_head
from pipeline.errors import ExportError, RecipeError
from pipeline.layout import TEACHER
from pipeline.recipes import Recipe
from pipeline.recipes.shape import reason
from pipeline.training.dry_build import build_once

_NO_HASH = "0" * 64


def dry_run(recipes: Mapping[str, Recipe], dynamic_size: bool, exported: Collection[str], *, opset: int) -> None:
    """Build what every recipe trains, and run what it ships, in seconds.

    Args:
        recipes: the resolved recipes by model, the teacher's among them.
        dynamic_size: whether height and width stay open (``export.dynamic_size``).
        exported: the models that artefacts are made of (``export.models``).
        opset: version of ONNX's operators (``export.opset``).

    Raises:
        RecipeError: names the recipe and what a later stage could not build, run or export.
    """
    # A copy for each use: methods and export put their detectors into another state.
    teacher = build_once(recipes[TEACHER], None)
    obstacles: dict[str, ExportError] = {}
    for name, recipe in recipes.items():
        detector = build_once(recipe, None if name == TEACHER else teacher)
        settings = ExportSettings(models=[name], dynamic_size=dynamic_size, opset=opset)
        spec = describe(recipe, detector.data_preprocessor, _NO_HASH, "", settings)
        try:
            flow_of(detector)
            found = _run(detector.to("meta"), spec, opset)
        except RecipeError as error:
            raise RecipeError(f"{recipe.path}: {error}") from error
        except NotImplementedError as error:  # an operator of mmcv's that torchvision does not have
            raise RecipeError(f"{recipe.path}: the detector does not run here: {error}") from error
        except Exception as error:  # whatever a detector's code stumbles over
            height, width = recipe.input_size
            raise RecipeError(
                f"{recipe.path}: the detector does not run on a picture of {height} x {width}: {reason(error)}; what "
                "each of model.backbone, model.neck and the heads gives must be what the next one takes (in_channels)"
            ) from error
        if isinstance(found, ExportError):
            obstacles[name] = found
        elif spec.size_divisor is not None:
            _check_other_sizes(found, spec.size_divisor, recipe)
    _refuse_export(recipes, exported, obstacles)


def _run(detector: BaseDetector, spec: ArtefactSpec, opset: int) -> DeployableDetector | ExportError:
    """What ships, run once; or why nothing can, where the detector itself ran as far as it goes on paper."""
    height, width = spec.input_height, spec.input_width
    with torch.no_grad():
        try:
            check_opset(detector, opset)
            module = DeployableDetector(detector, spec)
        except ExportError as obstacle:
            run_on_paper(detector.eval(), torch.zeros(2, 3, height, width, device="meta"))
            return obstacle
    _run_module(module, height, width)
    return module


def _refuse_export(
    recipes: Mapping[str, Recipe], exported: Collection[str], obstacles: Mapping[str, ExportError]
) -> None:
    refused = [name for name in recipes if name in exported and name in obstacles]
    if not refused:
        return
    shippable = ", ".join(name for name in recipes if name not in obstacles) or "none of these models"
    reasons = [f"{recipes[name].path}: {obstacles[name]}" for name in refused]
    raise RecipeError(
        "\n".join(reasons) + f"\nexport.models in params.yaml lists {', '.join(refused)}, of which no artefact can be "
        "made: no ONNX, fp16 or int8 file, no engine, nothing for Triton. Take it out of export.models: it is "
        f"trained, evaluated and reported all the same. Artefacts can be made of: {shippable}"
    )


def _run_module(module: DeployableDetector, height: int, width: int) -> None:
    images = torch.zeros(2, height, width, 3, dtype=torch.uint8, device="meta")
    with torch.no_grad():
        module(images, torch.zeros(2, 2, dtype=torch.int64, device="meta") if module.spec.dynamic_size else None)


def _check_other_sizes(module: DeployableDetector, divisor: int, recipe: Recipe) -> None:
    """Whether a detector takes canvases that are a step larger than the recipe's: pictures of other proportions do.

    Raises:
        RecipeError: it does not, as necks that enlarge maps twofold (CSPNeXtPAFPN) do for what no stride divides.
    """
    height, width = (side + divisor for side in recipe.input_size)
    try:
        _run_module(module, height, width)
    except Exception as error:  # whatever a detector's code stumbles over
        strides = lcm(*(stride[0] for stride in dense_head(module.detector).prior_generator.strides))
        raise RecipeError(
            f"{recipe.path}: export.dynamic_size: the detector does not run on a canvas of {height} x {width}, a "
            f"multiple of model.data_preprocessor.pad_size_divisor ({divisor}): {reason(error)}; set that to {strides}"
        ) from error
