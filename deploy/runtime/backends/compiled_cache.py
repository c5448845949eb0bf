"""Compiled models kept in a folder, so that an artefact is opened faster the next time.

OpenVINO has a cache of its own (``CACHE_DIR``), which takes a file with a changed byte in its weights for sound and
gives other boxes. Here each file begins with the SHA-256 of the rest; what does not fit is compiled anew and replaced.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.runtime.printable import in_one_line
from deploy.runtime.scratch import scratch_folder

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "DEPLOY_CACHE"
"""Environment variable that names the folder; without it nothing is kept."""
_DIGEST_BYTES = 32


def key_of(artefact: Path, **conditions: object) -> str:
    """What a compiled model is found by: the artefact's content and all that it was compiled under."""
    digest = hashlib.sha256(artefact.read_bytes())
    digest.update(json.dumps(conditions, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def from_cache(
    key: Callable[[], str],
    compiled: Callable[[], Any],
    exported: Callable[[Any], bytes],
    imported: Callable[[bytes], Any],
) -> Any:
    """The compiled model from the folder, or compiled now and kept there.

    A folder that cannot be read or written costs the time of compiling, and a warning.

    Args:
        key: see :func:`key_of`; asked for where there is a folder.
        compiled: compiles the model.
        exported: its bytes.
        imported: the model from its bytes; raises ``RuntimeError`` for what it does not take.
    """
    if not (folder := os.environ.get(FOLDER_VARIABLE)):
        return compiled()
    path = Path(folder) / f"{key()}.compiled"
    if (content := _sound(path)) is not None:
        try:
            return imported(content)
        except RuntimeError as error:
            logger.warning("%s: compiled anew: %s", in_one_line(str(path)), in_one_line(str(error)))
    model = compiled()
    try:
        _write(path, exported(model))
    except OSError as error:
        logger.warning("%s: not kept: %s", in_one_line(str(path)), error.strerror or error)
    return model


def _sound(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, rest = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(rest).digest() == digest:
        return rest
    logger.warning("%s: damaged; compiled anew", in_one_line(str(path)))
    return None


def _write(path: Path, content: bytes) -> None:
    """In one step: another process that opens the artefact meanwhile finds all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path.name, path.parent) as folder:
        part = folder / path.name
        part.write_bytes(hashlib.sha256(content).digest() + content)
        part.replace(path)
