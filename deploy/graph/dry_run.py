"""The module that ships, run once on a device without memory: shapes are computed and nothing else."""

from collections.abc import Mapping

import torch

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.opsets import check_opset
from deploy.graph.specification import describe
from pipeline.deploy_settings import ExportSettings
from pipeline.errors import RecipeError
from pipeline.layout import TEACHER
from pipeline.recipes import Recipe
from pipeline.recipes.shape import reason
from pipeline.training.dry_build import build_once

_NO_HASH = "0" * 64


def dry_run(recipes: Mapping[str, Recipe], dynamic_size: bool, opset: int = 18) -> None:
    """Build what every recipe trains, and run what it ships, in seconds.

    Args:
        recipes: the resolved recipes by model, the teacher's among them.
        dynamic_size: whether height and width stay open (``export.dynamic_size``).
        opset: version of ONNX's operators (``export.opset``).

    Raises:
        RecipeError: names the recipe and what a later stage could not build, run or export.
    """
    # A copy for each use: methods and export put their detectors into another state.
    teacher = build_once(recipes[TEACHER], None)
    for name, recipe in recipes.items():
        detector = build_once(recipe, None if name == TEACHER else teacher)
        settings = ExportSettings(models=[name], dynamic_size=dynamic_size, opset=opset)
        spec = describe(recipe, detector.data_preprocessor, _NO_HASH, "", settings)
        height, width = recipe.input_size
        try:
            check_opset(detector, opset)
            with torch.no_grad():
                module = DeployableDetector(detector.to("meta"), spec)
                images = torch.zeros(2, height, width, 3, dtype=torch.uint8, device="meta")
                module(images, torch.zeros(2, 2, dtype=torch.int64, device="meta") if dynamic_size else None)
        except RecipeError as error:
            raise RecipeError(f"{recipe.path}: {error}") from error
        except NotImplementedError as error:  # an operator of mmcv's that torchvision does not have
            raise RecipeError(f"{recipe.path}: the detector does not run here: {error}") from error
        except Exception as error:  # whatever a detector's code stumbles over
            raise RecipeError(
                f"{recipe.path}: the detector does not run on a picture of {height} x {width}: {reason(error)}; what "
                "each of model.backbone, model.neck and the heads gives must be what the next one takes (in_channels)"
            ) from error
