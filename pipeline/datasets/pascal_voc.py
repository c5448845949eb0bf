"""Pascal-VOC annotation files: named boxes in XML."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from deploy.runtime.errors import shortened, shown
from deploy.runtime.text_files import is_finite
from pipeline.datasets.findings import Findings
from pipeline.errors import DatasetError

LARGEST_FILE = 1 << 24
"""Bytes; an object takes 250."""
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True)
class NamedBox:
    """One object: its class name and corners in pixels as the file gives them, right and lower edges exclusive."""

    name: str
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class VocObject:
    """One object of a user's file: ``xmin, ymin, xmax, ymax`` as they stand there; ``place`` counts from 1."""

    place: int
    name: str
    corners: tuple[float, float, float, float]
    is_difficult: bool


@dataclass(frozen=True)
class VocFile:
    """One file of the user's. ``width`` and ``height`` are its image's in pixels, as far as it tells them."""

    width: int | str | None
    height: int | str | None
    objects: list[VocObject]


def parse_voc(content: bytes, source: str) -> list[NamedBox]:
    """Parse one annotation file; document type and entity declarations are refused before parsing.

    Coordinates are taken as they are, without VOC's shift by one pixel, as DeepForest's own reader takes them.

    Raises:
        DatasetError: the content is no such XML, or an object lacks a name or four whole numbers in order.
    """
    root = _root(content, source)
    return [_object(element, f"{source}: object {index + 1}") for index, element in enumerate(root.iter("object"))]


def read_voc(content: bytes, file: str, notes: Findings) -> VocFile | None:
    """What a file of the user's says; None where it is no Pascal-VOC file.

    Args:
        content: the file; document type and entity declarations are refused before parsing.
        file: how findings name it.
        notes: gets an error for each object that lacks a name or four numbers, which is left out.
    """
    try:
        root = _root(content, "")
    except DatasetError as error:
        notes.error(file, "{}", str(error).removeprefix(": "))
        return None
    objects = []
    for place, element in enumerate(root.iter("object"), 1):
        name, corners = _name(element), _corners(element)
        numbers = [_number(text) for text in corners]
        if not name or any(number is None for number in numbers):
            text = "needs a name and numbers xmin, ymin, xmax, ymax, got {} and {}"
            notes.error(f"{file} object {place}", text, shown(name), shown(corners))
            continue
        x1, y1, x2, y2 = (number or 0 for number in numbers)
        is_difficult = (element.findtext("difficult") or "").strip() == "1"
        objects.append(VocObject(place, name, (x1, y1, x2, y2), is_difficult))
    return VocFile(_side(root, "width"), _side(root, "height"), objects)


def _root(content: bytes, source: str) -> ElementTree.Element:
    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
            raise DatasetError(f"{source}: declares a document type or entities, which Pascal-VOC files do not need")
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities, see above
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError) as error:
        raise DatasetError(f"{source}: not a Pascal-VOC file: {error}") from error
    if root.tag != "annotation":
        raise DatasetError(f"{source}: not a Pascal-VOC file: the root element is <{root.tag}>, not <annotation>")
    return root


def _side(root: ElementTree.Element, key: str) -> int | str | None:
    """The image's width or height; None where there is none, or 0, and the text where it is no whole number."""
    text = (root.findtext(f"size/{key}") or "").strip()
    number = _number(text)
    if not text or number == 0:
        return None
    return int(number) if number is not None and number == int(number) else shortened(text, 20)


def _number(text: str) -> int | float | None:
    """A number that is finite and of no more digits than it can be computed with."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    if not is_finite(number):
        return None
    return int(number) if number == int(number) else number


def _name(element: ElementTree.Element) -> str:
    return (element.findtext("name") or "").strip()


def _corners(element: ElementTree.Element) -> list[str]:
    return [(element.findtext(f"bndbox/{key}") or "").strip() for key in ("xmin", "ymin", "xmax", "ymax")]


def _object(element: ElementTree.Element, item: str) -> NamedBox:
    name, corners = _name(element), _corners(element)
    if not name or not all(text.isascii() and text.removeprefix("-").isdigit() for text in corners):
        raise DatasetError(f"{item}: needs a name and whole numbers xmin, ymin, xmax, ymax, got {name!r}, {corners}")
    x1, y1, x2, y2 = (int(text) for text in corners)
    if x2 <= x1 or y2 <= y1:
        raise DatasetError(f"{item}: the box {[x1, y1, x2, y2]} has no area")
    return NamedBox(name, x1, y1, x2, y2)
