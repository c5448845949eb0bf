"""The stages of ``dvc.yaml`` in the order in which ``dvc repro`` takes them, read without DVC, which takes seconds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.runtime.text_files import UnreadableText
from pipeline.strict_yaml import read_yaml_file

CHAIN_FILE = Path("dvc.yaml")

Chain = dict[str, tuple[str, ...]]
"""By the name of each stage, those whose results it reads; in DVC's order."""


def read_chain(chain_file: Path = CHAIN_FILE, params_file: Path = Path("params.yaml")) -> Chain:
    """The chain that two files describe; nothing where they say it in a way that is not known here, or cannot be read.

    DVC knows more ways than the project's ``dvc.yaml`` uses (``matrix``, ``vars``), and has its own errors for each.
    """
    try:
        chain, params = read_yaml_file(chain_file), read_yaml_file(params_file)
        return chain_of(chain["stages"], params)
    except (UnreadableText, LookupError, TypeError, ValueError, AttributeError):
        return {}


def chain_of(stages: Mapping[str, Any], params: Mapping[str, Any]) -> Chain:
    """The chain of ``dvc.yaml``'s ``stages``; ``foreach`` names a section of ``params`` or an entry in it."""
    found = dict(_expanded(stages, params))
    # With a slash at its end, a path lies in another where it begins with it.
    outs = [(f"{out}/", name) for name, content in found.items() for out in _outs(content)]
    parents = {name: _parents(content.get("deps", []), outs) for name, content in found.items()}
    return {name: parents[name] for name in _post_order(parents)}


def _expanded(stages: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, content in stages.items():
        if "foreach" not in content:
            yield name, content
            continue
        items: Any = params
        for key in content["foreach"].removeprefix("${").removesuffix("}").split("."):
            items = items[key]
        variable = "${key}" if isinstance(items, Mapping) else "${item}"
        for item in items:
            yield f"{name}@{item}", _filled(content["do"], variable, str(item))


def _filled(node: Any, variable: str, value: str) -> Any:
    if isinstance(node, str):
        return node.replace(variable, value)
    if isinstance(node, Mapping):
        return {_filled(key, variable, value): _filled(below, variable, value) for key, below in node.items()}
    return [_filled(each, variable, value) for each in node] if isinstance(node, list) else node


def _outs(content: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for entry in content.get(kind, []):
            yield next(iter(entry)) if isinstance(entry, Mapping) else entry


def _parents(deps: Iterable[str], outs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The stages of all outs that a dependency is, lies in, or holds."""
    paths = [f"{dep}/" for dep in deps]
    found = {name: None for path in paths for out, name in outs if path.startswith(out) or out.startswith(path)}
    return tuple(found)


def _post_order(parents: Mapping[str, Iterable[str]]) -> list[str]:
    """Every stage behind those that it reads from, as DVC's walk over its graph has them."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        for parent in parents[name]:
            if parent not in order:
                visit(parent)
        order.setdefault(name)

    for name in parents:
        visit(name)
    return list(order)
