"""Profiles: named sets of overrides of ``params.yaml`` under ``configs/profiles``."""

import functools
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from deploy.runtime.arguments import Parser
from deploy.runtime.text_files import UnreadableText
from pipeline.cli import stage_main
from pipeline.errors import SettingsError
from pipeline.settings import PARAMS_FILE, parse_params
from pipeline.strict_yaml import read_yaml_file

FOLDER = Path("configs/profiles")


def apply_profile(params: Mapping[str, Any], profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` with the values of ``profile`` in place; mappings are merged, everything else is replaced."""
    merged = deepcopy(dict(params))
    merge(merged, profile)
    return merged


def merge(target: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    """What :func:`apply_profile` does, in place."""
    for key, value in changes.items():
        below = target.get(key)
        if isinstance(value, Mapping) and isinstance(below, MutableMapping):
            merge(below, value)
        else:
            target[key] = value


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Print ``params.yaml`` with profiles applied, one after the other."""
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    parser = Parser(prog="python -m pipeline.profiles", description=main.__doc__)
    parser.add_argument("profiles", nargs="+", choices=known, metavar="profile", help=f"of {', '.join(known)}")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE, help="the file to change (%(default)s)")
    arguments = parser.parse_args(argv)
    paths = [FOLDER / f"{name}.yaml" for name in arguments.profiles]
    merged = functools.reduce(apply_profile, map(load_profile, paths), load_profile(arguments.params))
    parse_params(merged, source=f"{arguments.params} with {', '.join(map(str, paths))}")
    yaml.safe_dump(merged, sys.stdout, sort_keys=False)


def load_profile(path: Path) -> dict[str, Any]:
    """Read a mapping of settings; raises :class:`SettingsError` naming a file that holds none."""
    try:
        content = read_yaml_file(path)
    except UnreadableText as error:
        raise SettingsError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds {type(content).__name__}, not a mapping of settings")
    return content


if __name__ == "__main__":
    main()
