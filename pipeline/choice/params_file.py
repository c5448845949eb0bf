"""``params.yaml`` with a choice in place, its comments kept."""

import io
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from deploy.runtime.text_files import MissingText, UnreadableText, read_text
from pipeline.dataset_settings import EMBEDDED, DataSettings
from pipeline.errors import SettingsError
from pipeline.profiles import merge
from pipeline.settings import Gates, parse_params
from pipeline.strict_yaml import read_yaml

_UNLABELLED = ("unlabelled", "labelled_share", "labelled_seed")
_SECTION = re.compile(r"[a-z_]+:")


class _Representer(RoundTripRepresenter):
    """Writes null as the word, as params.yaml does, and not as nothing."""

    def represent_none(self, data: None) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def read_params(params: Path) -> str:
    """The text of a ``params.yaml``; raises :class:`SettingsError` where there is none, or no YAML."""
    try:
        text = read_text(params)
        read_yaml(text)
        return text
    except MissingText as error:
        raise SettingsError(f"{params}: no such file; run the command from the project's root") from error
    except UnreadableText as error:
        raise SettingsError(f"{params}: {error}") from error


def data_section(text: str, source: str) -> DataSettings:
    """``data`` of a ``params.yaml``; raises :class:`SettingsError` naming ``source`` where the text is none."""
    try:
        return parse_params(read_yaml(text), source=source).data
    except UnreadableText as error:
        raise SettingsError(f"{source}: {error}") from error


def unlabelled_settings(text: str) -> dict[str, Any]:
    """What ``data`` of a ``params.yaml`` says of pictures without boxes, for whichever data set; nothing if invalid."""
    content = read_yaml(text)
    section = content.get("data") if isinstance(content, Mapping) else None
    given = {key: section[key] for key in _UNLABELLED if key in section} if isinstance(section, Mapping) else {}
    try:
        return DataSettings.model_validate(given).model_dump(include={*given})
    except ValidationError:  # which `switched` words
        return {}


def switched(text: str, choice: Mapping[str, Any], source: str, times_wider: float = 1) -> str:
    """The text of a ``params.yaml`` with a choice in place; comments stay, except those inside what is replaced.

    Args:
        text: what is changed.
        choice: section by section.
        source: names it in errors.
        times_wider: for ``gates.benchmark_max_map_drop``, over the limits of its default. A limit that is narrower than
            that, or none, is the user's and stays.

    Raises:
        SettingsError: the text is no ``params.yaml``, or becomes an invalid one.
    """
    parser = YAML()
    parser.Representer = _Representer
    parser.preserve_quotes = True
    parser.width = 4096
    parser.indent(mapping=2, sequence=4, offset=2)
    try:
        # The rules of params.yaml first: ruamel's are others, and it lets errors of its own out.
        read_yaml(text)
        params = parser.load(text)
    except (UnreadableText, YAMLError) as error:
        raise SettingsError(f"{source}: {error}") from error
    if not isinstance(params, MutableMapping):
        raise SettingsError(f"{source}: holds {type(params).__name__}, not a mapping of settings")
    # Replaced as wholes: an entry of the earlier choice would belong to another teacher or student.
    params["twins"], params["students"] = {}, {}
    if "data" in choice:
        _forget_other_folder(params, choice["data"])
    if isinstance(teacher := params.get("teacher"), MutableMapping):
        teacher.update({"options": {}, "init": None, "checkpoints": {}, "published_ap": {}})
    merge(params, choice)
    _widen(params, times_wider)
    stream = io.StringIO()
    parser.dump(params, stream)
    changed = _spaced(stream.getvalue())
    parse_params(read_yaml(changed), source=f"{source} with {', '.join([*choice['twins'], *choice['students']])}")
    return changed


def _forget_other_folder(params: MutableMapping[str, Any], data: Mapping[str, Any]) -> None:
    """Empty the section of the chosen format where it describes another folder; what was set for this one stays."""
    sections, name = params.get("data"), data["name"]
    section = sections.get(name) if isinstance(sections, MutableMapping) else None
    if name in EMBEDDED or not isinstance(sections, MutableMapping) or not isinstance(section, MutableMapping):
        return
    if section.get("root") != data[name]["root"]:
        sections[name] = {}
        return
    for key, value in data[name].items():
        if isinstance(value, Mapping) and section.get(key) != value:
            section[key] = {}


def _widen(params: MutableMapping[str, Any], times: float) -> None:
    gates = params.get("gates")
    limits = gates.get("benchmark_max_map_drop") if isinstance(gates, MutableMapping) else None
    if not isinstance(limits, MutableMapping):
        return
    for rung, limit in Gates().benchmark_max_map_drop.items():
        if limit is not None and isinstance(limits.get(rung), int | float) and limits[rung] >= limit:
            limits[rung] = round(times * limit, 2)


def _spaced(text: str) -> str:
    """Give each section the empty line before it again that went with what was replaced."""
    lines: list[str] = []
    for line in text.splitlines():
        if _SECTION.match(line) and lines and lines[-1].strip() and not lines[-1].startswith("#"):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"
