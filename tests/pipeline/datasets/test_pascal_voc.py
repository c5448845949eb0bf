import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.pascal_voc import NamedBox, parse_voc
from pipeline.errors import DatasetError

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def document(*objects: str) -> bytes:
    return f"<annotation><size><width>9</width></size>{''.join(objects)}</annotation>".encode()


def test_names_and_corners_are_read_as_they_are():
    content = document(OBJECT.format("Tree", 1, 2, 31, 42), OBJECT.format(" Dead ", -3, 0, 4, 5))
    assert parse_voc(content, "a.xml") == [NamedBox("Tree", 1, 2, 31, 42), NamedBox("Dead", -3, 0, 4, 5)]


def test_a_file_without_objects_is_empty():
    assert parse_voc(document(), "a.xml") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a Pascal-VOC file"),
        (b"\xff\xfe<\x00", "not a Pascal-VOC file"),
        (b"<annotation>", "not a Pascal-VOC file"),
        (b"<html></html>", "root element is <html>"),
        (document(OBJECT.format("", 1, 2, 3, 4)), "object 1: needs a name"),
        (document(OBJECT.format("Tree", 1, 2, 3, 4), OBJECT.format("Tree", 1, "x", 3, 4)), "object 2: needs a name"),
        (document(OBJECT.format("Tree", 1, 2.5, 3, 4)), "whole numbers"),
        (document(OBJECT.format("Tree", "²", 2, 3, 4)), "whole numbers"),
        (document("<object><name>Tree</name></object>"), "whole numbers"),
        (document(OBJECT.format("Tree", 5, 2, 5, 4)), "has no area"),
        (document(OBJECT.format("Tree", 1, 9, 5, 4)), "has no area"),
    ],
)
def test_bad_files_are_named_with_the_reason(content, message):
    with pytest.raises(DatasetError, match=message) as caught:
        parse_voc(content, "folder/a.xml")
    assert str(caught.value).startswith("folder/a.xml")


@pytest.mark.parametrize(
    "declaration",
    ['<!DOCTYPE annotation SYSTEM "file:///etc/hostname">', '<!doctype a [<!ENTITY x "xxxxxxxx">]>'],
)
def test_document_types_and_entities_are_refused(declaration):
    with pytest.raises(DatasetError, match="declares a document type or entities"):
        parse_voc(declaration.encode() + document(), "a.xml")


@given(st.binary(max_size=200) | st.text(st.characters(codec="utf-8"), max_size=200).map(document))
def test_whatever_comes_in_is_boxes_or_a_dataset_error(content):
    try:
        boxes = parse_voc(content, "a.xml")
    except DatasetError:
        return
    assert all(box.x1 < box.x2 and box.y1 < box.y2 for box in boxes)
