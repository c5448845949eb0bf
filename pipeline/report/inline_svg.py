"""Matplotlib's SVG made fit to stand in a page: short, in the page's letters, and in colours that the page decides.

A chart of its own carries the outlines of its letters and one set of colours, so that a page needs it once for light
and once for dark screens. In the page it needs neither, and is a tenth of that in bytes.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_DECIMALS = 2
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_COMMAND = re.compile(r"([MLQCz])([^MLQCz]*)")
_REFERENCE = re.compile(r"#([^)]+)\)?$")
# No XML holds these, and a name may.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNUSED = {"metadata", "style"}
_OF_A_FILE = {"width", "height", "version"}


def inline_svg(svg: str, prefix: str, colors: Mapping[str, str]) -> str:
    """Rewrite a chart of matplotlib's with text as text (``svg.fonttype: none``) for the inside of an HTML page.

    Coordinates are rounded to hundredths of a point, identifiers that nothing refers to are dropped.

    Args:
        svg: the file.
        prefix: of identifiers; of each chart in a page another.
        colors: what is written in place of a colour, by its ``#rrggbb`` in lower case; others stay as they are.

    Returns:
        One ``<svg>`` element with a view box and without a size, all of whose text is escaped.
    """
    root = ElementTree.fromstring(_NO_XML.sub("\ufffd", svg))  # noqa: S314 - matplotlib's, which declares no entities
    for element in root.iter():
        _strip_names(element)
    names = dict(zip(_referred(root), (f"{prefix}{number}" for number in itertools.count()), strict=False))
    for element in root.iter():
        _shorten(element, names, colors)
    for name in _OF_A_FILE:
        root.attrib.pop(name, None)
    root[:] = _visible(root)
    return ElementTree.tostring(root, encoding="unicode")


def _strip_names(element: Element) -> None:
    """HTML knows SVG without its namespaces."""
    element.tag = element.tag.rpartition("}")[2]
    element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    element.tail = None
    if element.tag not in ("text", "tspan"):
        element.text = None


def _referred(root: Element) -> list[str]:
    found = [
        reference[1]
        for element in root.iter()
        for name in ("href", "clip-path")
        if (reference := _REFERENCE.search(element.get(name, "")))
    ]
    return list(dict.fromkeys(found))


def _shorten(element: Element, names: Mapping[str, str], colors: Mapping[str, str]) -> None:
    kept: dict[str, str] = {}
    for name, value in element.attrib.items():
        if name == "id":
            kept |= {"id": names[value]} if value in names else {}
        elif name in ("href", "clip-path"):
            kept[name] = _REFERENCE.sub(lambda found: found[0].replace(found[1], names[found[1]]), value)
        elif name == "style":
            kept |= _style(value, colors)
        elif name == "d":
            kept[name] = short_path(value)
        elif not (name == "transform" and value.startswith("rotate(-0 ")):
            kept[name] = _NUMBER.sub(lambda number: _short(_rounded(number[0])), value)
    element.attrib = kept


def _style(style: str, colors: Mapping[str, str]) -> dict[str, str]:
    """The declarations without the family of letters, which is the page's, and without those that have no value."""
    pairs = [declaration.partition(":")[::2] for declaration in style.split(";")]
    values = {name.strip(): value.strip() for name, value in pairs if value.strip()}
    values.pop("font-family", None)
    if "stroke-dasharray" not in values:
        values.pop("stroke-dashoffset", None)
    text = ";".join(f"{name}:{colors.get(value, value)}" for name, value in values.items())
    return {"style": text} if text else {}


def _visible(element: Element) -> Iterator[Element]:
    """The children that show something or are referred to; of a group that says nothing, its children in its place."""
    for child in list(element):
        if child.tag in _UNUSED or child.get("style") == "fill:none":
            continue
        child[:] = _visible(child)
        if child.tag == "g" and not child.attrib:
            yield from child
        elif len(child) or child.tag not in ("g", "defs"):
            yield child


def short_path(path: str) -> str:
    """The same path in relative commands, its numbers rounded to hundredths; errors of rounding do not add up."""
    words: list[str] = []
    here = start = (0, 0)
    for command, text in _COMMAND.findall(path):
        numbers = [_rounded(number) for number in _NUMBER.findall(text)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        if command == "z":
            words.append("z")
            here = start
        elif command == "M":
            here = start = points[-1]
            words.append("M" + _joined([*here]))
        elif command == "L":
            words.append(_relative("l", words, here, points))
            here = points[-1]
        else:
            words.append(_relative(command.lower(), words, here, points))
            here = points[-1]
    return "".join(words)


def _relative(command: str, before: list[str], here: tuple[int, int], points: list[tuple[int, int]]) -> str:
    """The command with its points as steps from ``here``; its letter goes where it is that of the command before."""
    text = _joined([value for x, y in points for value in (x - here[0], y - here[1])])
    last = next((word[0] for word in reversed(before) if word[0].isalpha()), "")
    if last != command:
        return command + text
    return text if text.startswith("-") else f" {text}"


def _joined(numbers: list[int]) -> str:
    return " ".join(map(_short, numbers)).replace(" -", "-")


def _rounded(number: str) -> int:
    return round(float(number) * 10**_DECIMALS)


def _short(number: int) -> str:
    """Hundredths as a decimal: ``12.5``, ``-.07``, ``3``."""
    text = f"{abs(number) / 10**_DECIMALS:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return ("-" if number < 0 else "") + (text.removeprefix("0") or "0")
