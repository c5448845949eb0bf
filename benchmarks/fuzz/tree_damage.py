"""Damage that knows the structure: values of a wrong kind, missing and doubled keys, and what only looks like a value.

A tree is what ``json.loads`` gives, in which ``Raw`` stands for text that no writer would write.
"""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from benchmarks.fuzz.byte_damage import Damage, damage_bytes
from benchmarks.fuzz.odd_values import JSON, Dialect, Raw, Tuple

Slot = tuple[Any, Any]
"""A container and the key or index of one of its values."""


def written(tree: Any, dialect: Dialect) -> bytes:
    """A tree as text."""
    if isinstance(tree, Raw):
        return tree.text
    if isinstance(tree, dict):
        return (
            b"{" + b", ".join(_key(key, dialect) + b": " + written(item, dialect) for key, item in tree.items()) + b"}"
        )
    if isinstance(tree, Tuple):
        return b"(" + b"".join(written(item, dialect) + b", " for item in tree) + b")"
    if isinstance(tree, list):
        return b"[" + b", ".join(written(item, dialect) for item in tree) + b"]"
    return dialect.scalar(tree)


def _key(key: Any, dialect: Dialect) -> bytes:
    return key.text if isinstance(key, Raw) else dialect.scalar(key)


def damage_tree(random: Random, tree: Any, dialect: Dialect) -> Any:
    """A copy with one to three faults."""
    damaged = {"": copy.deepcopy(tree)}
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if not (slots := list(_slots(damaged))):
            return None
        container, key = random.choice(slots)
        random.choice(_FAULTS)(random, container, key, slots, dialect)
    return next(iter(damaged.values()), None)


def json_damage(random: Random, content: bytes) -> bytes:
    """Damage to a JSON text: of its tree, of its encoding, or of its bytes."""
    kind = random.random()
    if kind < 0.1:
        return damage_bytes(random, content)
    if kind < 0.15:
        return random.choice(_ENCODINGS)(content)
    return written(damage_tree(random, json.loads(content), JSON), JSON)


_ENCODINGS: tuple[Callable[[bytes], bytes], ...] = (
    lambda content: content.decode().encode("utf-16"),
    lambda content: content.decode().encode("utf-32"),
    lambda content: b"\xef\xbb\xbf" + content,
    lambda content: content + b"\x00",
    lambda content: content + content,
    lambda content: b"\xff\xfe" + content,
    lambda content: b"",
    lambda content: b"null",
)


def tree_damage(tree: Any, dialect: Dialect) -> Damage:
    """Damage to a text whose tree is known: of the tree, or rarely of the text's bytes."""

    def damage(random: Random, content: bytes) -> bytes:
        if random.random() < 0.2:
            return damage_bytes(random, content)
        return written(damage_tree(random, tree, dialect), dialect)

    return damage


def _slots(node: Any) -> Iterator[Slot]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from _slots(value)


Fault = Callable[[Random, Any, Any, list[Slot], Dialect], None]


def _odd_value(random: Random, container: Any, key: Any, _: list[Slot], dialect: Dialect) -> None:
    container[key] = copy.deepcopy(random.choice(dialect.odd))


def _missing(random: Random, container: Any, key: Any, _: list[Slot], dialect: Dialect) -> None:
    del container[key]


def _doubled(random: Random, container: Any, key: Any, _: list[Slot], dialect: Dialect) -> None:
    if isinstance(container, list):
        container.insert(random.randrange(len(container) + 1), copy.deepcopy(container[key]))
    else:
        again = key if isinstance(key, Raw) else Raw(dialect.scalar(key))
        container[again] = random.choice((None, copy.deepcopy(container[key])))


def _renamed(random: Random, container: Any, key: Any, _: list[Slot], dialect: Dialect) -> None:
    if isinstance(container, dict):
        names = (f"{key}s", "", "__proto__", "x" * 1000, Raw(b'"\xff"'), Raw(b'"\\ud800"'), "type", "\x00")
        container[random.choice(names)] = container.pop(key)


def _emptied(random: Random, container: Any, key: Any, _: list[Slot], dialect: Dialect) -> None:
    container[key] = type(container[key])() if isinstance(container[key], dict | list | str) else None


def _scaled(random: Random, container: Any, key: Any, _: list[Slot], dialect: Dialect) -> None:
    value = container[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = random.choice((-value, value + 1, value * 1000, value / 2, str(value), value * 10**12))
    else:
        _odd_value(random, container, key, _, dialect)


def _swapped(random: Random, container: Any, key: Any, slots: list[Slot], dialect: Dialect) -> None:
    other, place = random.choice(slots)
    container[key] = copy.deepcopy(other[place])


def _wrapped(random: Random, container: Any, key: Any, _: list[Slot], dialect: Dialect) -> None:
    container[key] = random.choice(([container[key]], {"x": container[key]}, [container[key]] * 3))


_FAULTS: tuple[Fault, ...] = (
    *[_odd_value] * 4,
    *[_scaled] * 2,
    _missing,
    _doubled,
    _renamed,
    _emptied,
    _swapped,
    _wrapped,
)
