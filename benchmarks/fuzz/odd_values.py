"""Values that readers trip over, in the languages that the project reads. A line of text is one value."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_DEEP = 100_000
_HUGE = 1 << 20


@dataclass(frozen=True)
class Raw:
    """Text that is written as it stands, as a value or as a key."""

    text: bytes


class Tuple(list[Any]):
    """A tuple of Python's whose values can be changed."""


@dataclass(frozen=True)
class Dialect:
    """How a tree is written: ``scalar`` writes a leaf or a key; ``odd`` are its values that readers trip over."""

    scalar: Callable[[Any], bytes]
    odd: tuple[Any, ...]


def _lines(text: str) -> tuple[Raw, ...]:
    return tuple(Raw(line.encode()) for line in text.strip().splitlines())


_NUMBERS = (None, True, False, 0, -1, 1.5, -0.0, 2**31, 2**63, -(2**63), 10**30)
_TEXTS = ("", "x", "0", "\x00", "\n", "..", "/", "\x1b[31m", "ä", "\u202e", "A" * _HUGE)
_LISTS: tuple[list[Any], ...] = ([], [[]], [None], [-1], [1, 2], [0.5, "x"], [1] * 5000)
_ODD: tuple[Any, ...] = (*_NUMBERS, *_TEXTS, *_LISTS, {}, {"": None}, {"x": "y"})

_JSON = r"""
NaN
Infinity
-Infinity
1e400
1e-400
01
"\ud800"
"\udfff x"
nul
'x'
{
"
/* */ 1
"""
_YAML = r"""
.nan
.inf
-.inf
1e400
"\ud800"
&a [*a]
&b {x: *b}
*nobody
!!python/object/apply:os.getcwd []
!unknown x
!!binary x
!!binary aGk=
2001-12-14t21:59:43.10-05:00
2024-01-01
2024-13-45
190:20:30
1:99:x
0x1f
0b12
!!set {a, b}
!!omap [a: 1]
!!pairs [a]
!!float x
!!int x
!!bool x
!!null x
!!timestamp x
!!merge x
!!value =
{? [a] : b}
{? {a: 1} : b}
{[a]: 1}
{<<: 1}
{<<: [{a: 1}, 2]}
{1: 2, null: 3, 1.5: 4}
~
=
<<
"""
_PYTHON = r"""
float('nan')
float('inf')
10**400
'\ud800'
1j
range(3)
print
{1: 2}
{None: 1}
{1, 2}
[[[[[[1]]]]]]
b'x'
(1,)
(1, 2, 3)
('x', None)
()
dict(type='Nobody')
dict(type=3)
dict(type='GFL', model=dict(type='GFL'))
dict(_delete_=True)
'{{_base_.x}}'
'$(x)'
"""
# No UTF-8, half a surrogate pair in UTF-8, and more digits than Python reads.
_BYTES = tuple(map(Raw, (b'"\xff\xfe"', b'"\xed\xa0\x80"', b"", b"1" + b"0" * 400, b"1" + b"0" * 5000)))
_NESTED = (Raw(b"[" * _DEEP + b"]" * _DEEP), Raw(b'{"a":' * _DEEP + b"1" + b"}" * _DEEP))
# PyYAML's reader takes a second for these, and minutes for more.
_NESTED_YAML = (Raw(b"[" * 5000 + b"]" * 5000), Raw(b"!!int '1" + b"0" * 5000 + b"'"), Raw(b"'\x01'"))
_LARGE_YAML = (Raw(b"0x" + b"f" * 5000),)


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


JSON = Dialect(_as_json, (*_ODD, *_lines(_JSON), *_BYTES, *_NESTED))
YAML = Dialect(_as_json, (*_ODD, *_lines(_YAML), *_BYTES, *_NESTED_YAML, *_LARGE_YAML))
PYTHON = Dialect(lambda value: ascii(value).encode(), (*_ODD, *_lines(_PYTHON)))
