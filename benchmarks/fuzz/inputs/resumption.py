"""What a killed training goes on from: nothing damaged is gone on with, and nothing in the way of starting clean."""

import hashlib
import io
import json
import tempfile
from pathlib import Path
from random import Random

import torch

from benchmarks.fuzz.byte_damage import Damage, damage_bytes
from benchmarks.fuzz.cases import Kind, Refused, Sample
from benchmarks.fuzz.inputs.checkpoints import own_weights
from benchmarks.fuzz.odd_values import JSON
from benchmarks.fuzz.tree_damage import damage_tree, json_damage, written
from pipeline.training.fingerprint import FILE_NAME as FINGERPRINT
from pipeline.training.fingerprint import changed_parts
from pipeline.training.log import FILE_NAME as LOG
from pipeline.training.log import TrainingLog
from pipeline.training.resumption import BEST_FILE, RESUME_FILE, damage_of, seal

_PARTS = {"recipe": "a" * 64, "code": "b" * 64}
_ENTRIES = [
    {"iteration": 10, "seconds": 1.5, "learning_rate": 0.01, "losses": {"loss_cls": 1.0, "loss_bbox": 0.5}},
    {"iteration": 20, "seconds": 3.0, "learning_rate": 0.01, "losses": {"loss_cls": 0.75, "loss_bbox": 0.25}},
    {"iteration": 20, "seconds": 3.5, "val_ap": 12.5, "planned_iterations": 40},
    {"iteration": 20, "seconds": 3.5, "resumed": True},
]


def _resume() -> bytes:
    stream = io.BytesIO()
    torch.save({"state_dict": {"w": torch.arange(50.0)}, "meta": {"iter": 20}, "optimizer": {"lr": 0.1}}, stream)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, RESUME_FILE)
        path.write_bytes(stream.getvalue())
        seal(path)
        return path.read_bytes()


_FILES = {
    RESUME_FILE: _resume(),
    BEST_FILE: own_weights(),
    LOG: "".join(json.dumps(entry) + "\n" for entry in _ENTRIES).encode(),
    FINGERPRINT: json.dumps(_PARTS).encode(),
}


def _line_damage(random: Random, content: bytes) -> bytes:
    """Lines that are other json than an entry's."""
    lines = [written(damage_tree(random, json.loads(line), JSON), JSON) if random.random() < 0.4 else line
             for line in content.splitlines()]  # fmt: skip
    return b"\n".join(line.replace(b"\n", b" ") for line in lines) + random.choice((b"\n", b"\n", b"", b"\n\n"))


def _read(path: Path) -> object:
    work_dir = path.parent
    for name, content in _FILES.items():
        if name != path.name:
            (work_dir / name).write_bytes(content)
    if changed := changed_parts(work_dir, _PARTS):
        raise Refused(f"{work_dir / FINGERPRINT}: {changed}")
    if changed is None:
        raise Refused(f"{work_dir / FINGERPRINT}: unreadable")
    if damage := damage_of(work_dir):
        raise Refused(damage)
    log = TrainingLog(work_dir)
    log.rewind(20)
    return (
        [hashlib.sha256((work_dir / name).read_bytes()).hexdigest() for name in (RESUME_FILE, BEST_FILE)],
        [log.seconds() >= 0, log.resumes() > 0, bool(log.points()), bool(log.validation()), log.planned_iterations()],
    )


def _sample(name: str, damage: Damage, exact: bool = False) -> Sample:
    return Sample(name, _FILES[name], damage, exact)


KIND = Kind(
    samples={
        "resume": _sample(RESUME_FILE, damage_bytes, exact=True),
        "best": _sample(BEST_FILE, damage_bytes, exact=True),
        "log": _sample(LOG, damage_bytes),
        "log-lines": _sample(LOG, _line_damage),
        "fingerprint": _sample(FINGERPRINT, json_damage),
    },
    read=_read,
    own=(),
    share=2,
)
