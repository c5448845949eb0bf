"""How large YAML may become: an alias costs three letters and stands for all that its anchor holds, aliases too.

So a file of a few hundred bytes can hold more values than there is memory for ("billion laughs"). They are counted
while the text is parsed, which takes no more than the text, and before anything is built.
"""

from dataclasses import dataclass

import yaml

LARGEST_TEXT = 1 << 18
"""Characters; PyYAML reads some 50,000 a second."""
MOST_NODES = 20_000
"""Keys, values and collections, those that aliases stand for included."""
DEEPEST = 50
"""Collections inside each other."""


@dataclass
class _Tree:
    """What a node holds: nodes, and collections inside each other. ``anchor``: its name for aliases, if it has one."""

    anchor: str | None
    nodes: int = 1
    depth: int = 0

    def take(self, inner: "_Tree") -> None:
        self.nodes += inner.nodes
        self.depth = max(self.depth, inner.depth + 1)


def check_limits(text: str) -> None:
    """Refuse YAML that is too long, too deep, or holds too much once its aliases are followed.

    Raises:
        yaml.YAMLError: one of these, the message naming limit and line; or the text is no YAML.
    """
    if len(text) > LARGEST_TEXT:
        raise yaml.YAMLError(f"{len(text):,} characters are too many, {LARGEST_TEXT:,} are the most")
    opened = [_Tree(None)]
    known: dict[str, _Tree] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append(_Tree(event.anchor))
            _refuse(len(opened) - 1 > DEEPEST, f"collections inside each other, {DEEPEST} are the most", event)
            continue
        if isinstance(event, yaml.ScalarEvent):
            node = _Tree(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            node = opened.pop()
        elif isinstance(event, yaml.AliasEvent):
            _refuse(any(tree.anchor == event.anchor for tree in opened), "an alias inside what it stands for", event)
            node = known.get(str(event.anchor), _Tree(None))
        else:
            continue
        opened[-1].take(node)
        _refuse(opened[-1].nodes > MOST_NODES, f"more values than {MOST_NODES:,}, aliases followed", event)
        _refuse(len(opened) - 1 + opened[-1].depth > DEEPEST + 1, f"deeper than {DEEPEST}, aliases followed", event)
        if node.anchor:
            known[node.anchor] = node


def _refuse(beyond: bool, what: str, event: yaml.Event) -> None:
    if beyond:
        raise yaml.YAMLError(f"too large: {what}\n{event.start_mark}")
