"""What a killed training goes on from: who may use its work directory, and whether the files there are whole.

Nothing damaged is ever gone on with: ``torch.load`` takes a flipped bit for a weight, because it does not check the
sums in its own archive.
"""

import hashlib
import os
import re
from pathlib import Path

import torch

from deploy.runtime.file_lock import FileLock, Locked
from deploy.runtime.text_files import UnreadableText
from pipeline.checkpoints import load_weights
from pipeline.errors import CheckpointError, TrainingError
from pipeline.training.fingerprint import discard
from pipeline.training.log import TrainingLog

RESUME_FILE = "resume.pth"
BEST_FILE = "best.safetensors"

_MARK = b"sha256:"
_SEAL = re.compile(_MARK + rb"[0-9a-f]{64}")
_SEAL_BYTES = len(_MARK) + 64
_END_OF_ARCHIVE = b"PK\x05\x06"
_END_BYTES = 22
_held: dict[Path, FileLock] = {}


def claim(work_dir: Path) -> None:
    """Make this process the only one that trains in ``work_dir``, until it ends or calls :func:`finish`.

    The lock lies beside the directory, which is deleted and made anew under it.

    Raises:
        TrainingError: another process trains there.
    """
    path = _lock_of(work_dir)
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _held[path] = FileLock(path)
    except Locked as owner:
        raise TrainingError(
            f"{work_dir}: another process trains {work_dir.name} (pid {owner}); wait until it is done, or end it: the "
            "next run goes on from its last checkpoint"
        ) from None


def finish(work_dir: Path) -> None:
    """Delete a work directory whose result is in place, and let another process train in one of its name."""
    discard(work_dir)
    if lock := _held.pop(_lock_of(work_dir), None):
        lock.release()


def _lock_of(work_dir: Path) -> Path:
    return work_dir.with_name(f".{work_dir.name}.lock").absolute()


def seal(path: Path) -> None:
    """End a file of ``torch.save`` with the hash of all that comes before it.

    The file is a ZIP archive, which may end with a comment of any bytes: the hash is that comment, so that one file
    holds both and is replaced in one step, and torch reads it as before.

    Raises:
        ValueError: it is no ZIP archive, or has a comment already.
    """
    with path.open("r+b") as stream:
        end = stream.seek(-_END_BYTES, os.SEEK_END)
        record = stream.read(_END_BYTES)
        if not record.startswith(_END_OF_ARCHIVE) or record[-2:] != b"\0\0":
            raise ValueError(f"{path}: no ZIP archive without a comment")
        stream.seek(end + _END_BYTES - 2)
        stream.write(_SEAL_BYTES.to_bytes(2, "little"))
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0, os.SEEK_END)
        stream.write(_MARK + digest.encode())


def is_sealed(path: Path) -> bool:
    """Whether a file ends with the hash of all that comes before it."""
    content = memoryview(path.read_bytes())
    body, found = content[:-_SEAL_BYTES], bytes(content[-_SEAL_BYTES:])
    return bool(_SEAL.fullmatch(found)) and found == _MARK + hashlib.sha256(body).hexdigest().encode()


def damage_of(work_dir: Path) -> str:
    """Why a training cannot go on from what lies in its work directory; empty where it can.

    ``resume.pth`` and ``best.safetensors`` must have the hash that they were written with, and every line of the log
    must be readable, but for a last one that a kill cut short.
    """
    checkpoint, best, log = work_dir / RESUME_FILE, work_dir / BEST_FILE, TrainingLog(work_dir)
    try:
        if not is_sealed(checkpoint):
            return f"{checkpoint} is damaged"
        torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # a file that was put there can fail in any way
        return f"{checkpoint} is damaged"
    try:
        validated = bool(log.validation())
        log.points()
        log.planned_iterations()
    except (UnreadableText, ValueError, KeyError):
        return f"{log.path} is damaged"
    if validated:
        try:
            load_weights(best, own=True)
        except (CheckpointError, OSError):
            return f"{best} is missing or damaged"
    return ""
