"""YAML as people write it: a key that is given twice is an error, and ``1e-3`` is a number."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from pipeline.yaml_limits import check_limits


class _Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing (PyYAML issue 165).

    It takes ``1e-3`` for text (issue 173), where YAML 1.2 and with it DVC read a number.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key, str) or key == "<<":
                continue
            if key in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} of line {lines[key]} is given again; keep one of the two",
                    problem_mark=key_node.start_mark,
                )
            lines[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """Read YAML that holds plain values; raises ``yaml.YAMLError``, also for a key that is given twice or too much."""
    check_limits(text)
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
