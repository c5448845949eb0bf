"""A module a kind of input, each with its ``KIND``."""

KINDS = (
    "coco",
    "labels",
    "settings",
    "recipes",
    "records",
    "detections",
    "engines",
    "artefacts",
    "images",
    "wheels",
    "checkpoints",
    "resumption",
)
"""Their names; the modules are imported by those who need them, because most bring torch."""
