"""Pascal-VOC annotation files: named boxes in XML."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from pipeline.errors import DatasetError


@dataclass(frozen=True)
class NamedBox:
    """One object: its class name and corners in pixels as the file gives them, right and lower edges exclusive."""

    name: str
    x1: int
    y1: int
    x2: int
    y2: int


def parse_voc(content: bytes, source: str) -> list[NamedBox]:
    """Parse one annotation file; document type and entity declarations are refused before parsing.

    Coordinates are taken as they are, without VOC's shift by one pixel, as DeepForest's own reader takes them.

    Raises:
        DatasetError: the content is no such XML, or an object lacks a name or four whole numbers in order.
    """
    try:
        text = content.decode("utf-8")
        if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
            raise DatasetError(f"{source}: declares a document type or entities, which Pascal-VOC files do not need")
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities, see above
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError) as error:
        raise DatasetError(f"{source}: not a Pascal-VOC file: {error}") from error
    if root.tag != "annotation":
        raise DatasetError(f"{source}: not a Pascal-VOC file: the root element is <{root.tag}>, not <annotation>")
    return [_object(element, f"{source}: object {index + 1}") for index, element in enumerate(root.iter("object"))]


def _object(element: ElementTree.Element, item: str) -> NamedBox:
    name = (element.findtext("name") or "").strip()
    corners = [(element.findtext(f"bndbox/{key}") or "").strip() for key in ("xmin", "ymin", "xmax", "ymax")]
    if not name or not all(text.isascii() and text.removeprefix("-").isdigit() for text in corners):
        raise DatasetError(f"{item}: needs a name and whole numbers xmin, ymin, xmax, ymax, got {name!r}, {corners}")
    x1, y1, x2, y2 = (int(text) for text in corners)
    if x2 <= x1 or y2 <= y1:
        raise DatasetError(f"{item}: the box {[x1, y1, x2, y2]} has no area")
    return NamedBox(name, x1, y1, x2, y2)
