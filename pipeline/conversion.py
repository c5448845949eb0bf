"""Published checkpoints of distilled students as the plain students: strict, without what only training needed."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from deploy.runtime.arguments import Parser
from pipeline.checkpoints import load_strict, load_weights, save_weights
from pipeline.cli import stage_main
from pipeline.errors import CheckpointError
from pipeline.recipes import build_plain, read_recipe
from pipeline.storage import sha256_of

logger = logging.getLogger(__name__)

# CSKD's student heads carry their 1x1 convolutions (distill_...) and assistant predictors (assis_..., assist_...).
# CrossKD's checkpoints hold the student alone.
TRAINING_PARTS = ("distill_", "assis_", "assist_")


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Turn a student's checkpoint as CrossKD or CSKD published it into safetensors of the stock detector."""
    parser = Parser(prog="python -m pipeline.conversion", description=main.__doc__)
    parser.add_argument("checkpoint", type=Path, help="a .pth file, read without running code from it")
    parser.add_argument("--recipe", type=Path, required=True, help="the student's file of configs/students")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    arguments = parser.parse_args(argv)
    dropped = convert(arguments.checkpoint, arguments.recipe, arguments.out)
    logger.info("%s: loads strictly; %d tensors of the training left out", arguments.out, len(dropped))
    logger.info("sha256: %s", sha256_of(arguments.out))


def convert(checkpoint: Path, recipe: Path, out: Path) -> list[str]:
    """Write the plain student of a published checkpoint and return the names of what was left out.

    Args:
        checkpoint: ``.pth`` of mmdet 2.x or 3.x with the reference's names.
        recipe: the student's recipe, with the classes of the checkpoint (COCO's 80 as it is written).
        out: safetensors file, loadable with ``strict=True`` into the recipe's stock mmdet detector.

    Raises:
        CheckpointError: the file cannot be read, ``out`` has another ending, or after the training parts are left
            out keys are missing, left over or of another shape; they are named.
        RecipeError: the recipe cannot be read or built.
    """
    if out.suffix != ".safetensors":
        raise CheckpointError(f"{out}: the result is a .safetensors file; choose a name with that ending")
    state, _ = load_weights(checkpoint)
    student, dropped = split_training_parts(state)
    detector = build_plain(read_recipe(recipe), recipe)
    load_strict(detector, student, str(checkpoint))
    metadata = {"recipe": str(recipe), "source": checkpoint.name, "source_sha256": sha256_of(checkpoint)}
    save_weights(out, detector.state_dict(), metadata)
    return dropped


def split_training_parts(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The student's tensors, and the names of the others: those with a part named as in ``TRAINING_PARTS``."""
    dropped = [name for name in state if any(part.startswith(TRAINING_PARTS) for part in name.split("."))]
    return {name: value for name, value in state.items() if name not in set(dropped)}, dropped


if __name__ == "__main__":
    main()
