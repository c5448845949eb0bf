"""Engines as they lie on disk: the plan, and the description beside it, hidden from TensorRT where damaged."""

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzz.byte_damage import damage_bytes
from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.inputs.artefact_sample import SPEC
from benchmarks.fuzz.odd_values import JSON
from benchmarks.fuzz.tree_damage import damage_tree, json_damage, written
from deploy.runtime.engine_file import EngineDescription, Profile, Target, check_target, read_engine
from deploy.runtime.errors import ArtefactError

_HERE = Target("simulated", "9.0", "570.1", "tensorrt 10.9")
_PLAN = Random("plan").randbytes(3000)
_DESCRIPTION = EngineDescription(_HERE, "0" * 64, (Profile(1, 1, 1), Profile(1, 8, 32)), SPEC).to_json(_PLAN)
_HASH = "description_sha256"


def _sealed_damage(random: Random, content: bytes) -> bytes:
    """Values that somebody else wrote, with the hash that they have: what is behind the hash must hold too."""
    tree: dict[str, Any] = json.loads(content)
    del tree[_HASH]
    damaged = damage_tree(random, tree, JSON)
    try:
        read = json.loads(written(damaged, JSON))
        digest = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()
    except (ValueError, RecursionError, TypeError):
        return written(damaged, JSON)
    return written({**read, _HASH: digest} if isinstance(read, dict) else read, JSON)


def _read(path: Path) -> object:
    engine = path.parent / "tiny.engine"
    beside = path.parent / "tiny.engine.json"
    for other, content in ((engine, _PLAN), (beside, _DESCRIPTION)):
        if other != path:
            other.write_bytes(content)
    description, plan = read_engine(engine)
    check_target(engine, description, _HERE)
    return repr(description), hashlib.sha256(plan).hexdigest()


KIND = Kind(
    samples={
        "plan": Sample("tiny.engine", _PLAN, damage_bytes, exact=True),
        "description": Sample("tiny.engine.json", _DESCRIPTION, damage_bytes, exact=True),
        "unsealed": Sample("tiny.engine.json", _DESCRIPTION, json_damage, exact=True),
        "sealed": Sample("tiny.engine.json", _DESCRIPTION, _sealed_damage),
    },
    read=_read,
    own=(ArtefactError,),
)
