"""Recipes: one configuration file is one teacher or one student.

A recipe is an mmengine configuration (``_base_`` inheritance, mmdet's own bases as ``mmdet::...``). The recipe owns the
model, the method and the schedule; the data stage owns the classes and the files. :func:`resolve` joins the two into
one flat JSON file, which is all that the later stages depend on: an inherited file cannot be missed, and a change that
resolves to the same recipe reruns nothing. It holds the keys that decide a training or its evaluation (``REQUIRED`` and
``OPTIONAL``); what else mmdet's own configurations set (hooks, log, visualisation) does not count here. What decides no
weight (the file's name, what was published for it) is in a file of its own (:class:`RecipeOrigin`).
"""

from pipeline.recipes.building import build_detector, build_plain, without_pretrained
from pipeline.recipes.honoured import check_initialised, pretrained_parts
from pipeline.recipes.recipe import Recipe, load_resolved, method_name
from pipeline.recipes.resolving import (
    COCO_CLASSES,
    ResolvedRecipe,
    read_recipe,
    resolve,
    resolve_all,
    set_num_classes,
    write_resolved,
)

__all__ = [
    "COCO_CLASSES",
    "Recipe",
    "ResolvedRecipe",
    "build_detector",
    "build_plain",
    "check_initialised",
    "load_resolved",
    "method_name",
    "pretrained_parts",
    "read_recipe",
    "resolve",
    "resolve_all",
    "set_num_classes",
    "without_pretrained",
    "write_resolved",
]
