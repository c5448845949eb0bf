"""YAML as people write it: a key that is given twice is an error, and ``1e-3`` is a number."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from deploy.runtime.text_files import UnreadableText, read_text
from pipeline.yaml_limits import check_limits


class _Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing (PyYAML issue 165).

    It takes ``1e-3`` for text (issue 173), where YAML 1.2 and with it DVC read a number.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            # PyYAML lets what its constructors stumble over (a 13th month, "!!int x") out as it is.
            raise yaml.constructor.ConstructorError(
                problem=f"this is no {node.tag.rpartition(':')[2]} ({error})", problem_mark=node.start_mark
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        # A tag such as !!map before a list or a word brings another node here.
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
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
    """Read YAML that holds plain values.

    Raises:
        UnreadableText: it is no YAML, a key is given twice, it is too much, or a value is none of its kind; the message
            says where.
    """
    try:
        check_limits(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise UnreadableText(f"not valid YAML: {error}") from error
    except RecursionError as error:
        raise UnreadableText("not valid YAML: nested too deeply") from error


def read_yaml_file(path: Path) -> Any:
    """Read a file as :func:`read_yaml` does; raises :class:`UnreadableText` where there is none, too."""
    return read_yaml(read_text(path))
