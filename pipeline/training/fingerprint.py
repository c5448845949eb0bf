"""A scratch folder may be resumed only by the run that made it."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.runtime.text_files import UnreadableText, read_json
from pipeline.storage import sha256_of, write_atomic

FILE_NAME = "fingerprint.json"
CODE = (
    "pipeline/checkpoints.py",
    "pipeline/compute.py",
    "pipeline/detectors",
    "pipeline/distillers",
    "pipeline/evaluation/accuracy.py",
    "pipeline/evaluation/box_overlaps.py",
    "pipeline/evaluation/coco_matching.py",
    "pipeline/evaluation/coco_numbers.py",
    "pipeline/evaluation/inputs.py",
    "pipeline/mmcv_ops",
    "pipeline/pickled_weights.py",
    "pipeline/training",
)
"""The code that ``dvc.yaml`` too makes a training depend on."""


def fingerprint(parts: Mapping[str, Any], code_root: Path) -> dict[str, str]:
    """One hash for each part that decides the result, and one for the code that trains.

    Args:
        parts: anything JSON can hold, by name (recipe, data, teacher, settings).
        code_root: the project's root.
    """
    hashes = {name: _digest(json.dumps(value, sort_keys=True).encode()) for name, value in parts.items()}
    files = sorted(path for entry in CODE for path in _sources(code_root / entry))
    listing = "\n".join(f"{path.relative_to(code_root)} {sha256_of(path)}" for path in files)
    return {**hashes, "code": _digest(listing.encode())}


def changed_parts(work_dir: Path, current: Mapping[str, str]) -> list[str] | None:
    """Names of the parts that differ from those the folder was made with; none when it holds no fingerprint."""
    try:
        stored = read_json(work_dir / FILE_NAME)
    except UnreadableText:
        return None
    if not isinstance(stored, dict):
        return None
    return sorted(name for name in {*stored, *current} if stored.get(name) != current.get(name))


def store(work_dir: Path, current: Mapping[str, str]) -> None:
    """Write the fingerprint into a work directory."""
    write_atomic(work_dir / FILE_NAME, json.dumps(dict(current), indent=1) + "\n")


def digits(work_dir: Path) -> str:
    """Eight digits that are those of one training: the same after a kill, others for whatever trains otherwise."""
    return sha256_of(work_dir / FILE_NAME)[:8]


def discard(work_dir: Path) -> None:
    """Delete a work directory, its fingerprint first: what a kill leaves of it is then resumed by nobody.

    A file or a link in its place is deleted itself, never what it leads to.
    """
    if work_dir.is_symlink() or work_dir.is_file():
        work_dir.unlink()
        return
    (work_dir / FILE_NAME).unlink(missing_ok=True)
    shutil.rmtree(work_dir, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sources(entry: Path) -> list[Path]:
    return [entry] if entry.is_file() else list(entry.rglob("*.py"))
