"""``load_from`` of a recipe: mmengine's name for a detector's weights to start from, taken as ``init`` is."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.runtime.errors import shown
from pipeline.errors import RecipeError
from pipeline.setting_types import StartingWeights
from pipeline.storage import sha256_of
from pipeline.transfers import name_in

_REMOTE = re.compile(r"https?://")
# torchvision and OpenMMLab end file names so.
_HASHED = re.compile(r"-(?P<digits>[0-9a-f]{8,64})\.[A-Za-z0-9]+")


def has_hash(source: Any) -> bool:
    """Whether a ``load_from`` says which file it is: a local path, or an address whose file's name ends in its hash."""
    return isinstance(source, str) and ("://" not in source or _digits(source) is not None)


def init_of(config: Mapping[str, Any], path: object) -> StartingWeights | None:
    """The ``init`` that a recipe's ``load_from`` stands for; none where it has none.

    Args:
        config: a recipe's configuration. A local path in it starts at the project's root, and the file is read for its
            SHA-256.
        path: names the recipe in errors.

    Raises:
        RecipeError: an address is not :func:`has_hash`, or a local file cannot be read.
    """
    source = config.get("load_from")
    if not source:
        return None
    if not has_hash(source):
        raise RecipeError(
            f"{path}: load_from = {shown(source)}: nothing is fetched unchecked; give an https address whose file's "
            "name ends in the first 8 digits or more of its SHA-256, or `init` in params.yaml"
        )
    if (digits := _digits(source)) is not None:
        return StartingWeights(sources=[source], **{"sha256" if len(digits) == 64 else "sha256_prefix": digits})
    try:
        return StartingWeights(sources=[source], sha256=sha256_of(Path(source).expanduser()))
    except (OSError, ValueError, RuntimeError) as error:  # also a NUL, the home of a user that is unknown
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(
            f"{path}: load_from = {shown(source)}: {reason}; a path starts at the project's root"
        ) from error


def _digits(source: str) -> str | None:
    """The hash in the name of a remote file; a local one's is computed, as its name may end in a date."""
    if not _REMOTE.match(source):
        return None
    found = _HASHED.search(name_in(source))
    return found["digits"] if found and found.end() == len(name_in(source)) else None
