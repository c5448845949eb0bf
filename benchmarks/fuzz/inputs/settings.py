"""``params.yaml``, through its own reader, as a profile, and as the file that ``make use`` changes."""

from pathlib import Path

import yaml

from benchmarks.fuzz.byte_damage import damage_bytes
from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.odd_values import YAML
from benchmarks.fuzz.tree_damage import tree_damage
from pipeline.choice.params_file import read_params, switched
from pipeline.errors import PipelineError
from pipeline.profiles import apply_profile, load_profile
from pipeline.settings import PARAMS_FILE, Params, load_params

_CONTENT = PARAMS_FILE.read_bytes()
_TREE = yaml.safe_load(_CONTENT)
_TWINS = {"twin": {"recipe": "configs/students/twin.py"}}
_CHOICE = {"twins": _TWINS, "students": {}, "export": {"models": ["twin"]}}


def _read_params(path: Path) -> None:
    if path.name == "profile.yaml":
        apply_profile(_TREE, load_profile(path))
    elif path.name == "switched.yaml":
        switched(read_params(path), _CHOICE, str(path))
    else:
        assert isinstance(load_params(path), Params)


_DAMAGE = tree_damage(_TREE, YAML)
KIND = Kind(
    samples={
        "params": Sample("params.yaml", _CONTENT, _DAMAGE),
        "text": Sample("params.yaml", _CONTENT, damage_bytes),
        "profile": Sample("profile.yaml", _CONTENT, _DAMAGE),
        "switched": Sample("switched.yaml", _CONTENT, _DAMAGE),
    },
    read=_read_params,
    own=(PipelineError,),
)
