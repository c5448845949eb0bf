"""Pascal VOC's annotations through the data stage: corners, classes, layouts, and findings by file and object."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset_settings import DataSettings
from pipeline.datasets.findings import Findings
from pipeline.datasets.pascal_voc import read_voc
from pipeline.datasets.preparation import prepare
from pipeline.datasets.source_files import find_source_files
from pipeline.datasets.voc_dir import make
from pipeline.errors import DatasetError, SettingsError
from pipeline.records import DatasetRecord
from pipeline.settings import parse_params
from tests.pipeline.datasets.voc_folder import OBJECTS, VocFolder, document

TEST = {"image_set": "ImageSets/Main/test.txt"}


@pytest.fixture
def folder(tmp_path: Path) -> VocFolder:
    return VocFolder(tmp_path / "own")


def chosen(root: Path, **options: object) -> DataSettings:
    return DataSettings.model_validate({"name": "voc_dir", "voc_dir": {"root": root, "test": TEST, **options}})


def prepared(folder: VocFolder, **options: object) -> DatasetRecord:
    return prepare(chosen(folder.root, **options), folder.root.parent / "out", folder.root.parent)


def boxes(folder: VocFolder, split: str = "train") -> dict[str, list[tuple[int, list[float]]]]:
    content = json.loads((folder.root.parent / f"out/{split}.json").read_text())
    found: dict[str, list[tuple[int, list[float]]]] = {image["file_name"]: [] for image in content["images"]}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for entry in content["annotations"]:
        found[names[entry["image_id"]]].append((entry["category_id"], entry["bbox"]))
    return found


def refusal(folder: VocFolder, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        prepared(folder, **options)
    return str(caught.value)


def test_vocs_own_layout_and_corners(folder: VocFolder) -> None:
    record = prepared(folder.write())
    assert (record.name, record.classes, record.findings) == ("voc_dir", ["big cat", "dog"], [])
    assert {name: (split.images, split.boxes) for name, split in record.splits.items()} == dict.fromkeys(
        ("train", "val", "test"), (2, 3)
    )
    assert boxes(folder) == {
        "a.png": [(1, [15, 7, 10, 15]), (2, [0, 0, 8, 12])],
        "b.png": [(2, [0, 0, 40, 30])],
    }


def test_corners_of_other_tools_are_as_they_are_drawn(folder: VocFolder) -> None:
    folder.files["a"] = document([("dog", (15, 7.25, 25, "22.5")), ("big cat", (0, 0, 8, 12))])
    record = prepared(folder.write(), corners="zero_based")
    assert boxes(folder)["a.png"] == [(2, [15, 7.25, 10, 15.25]), (1, [0, 0, 8, 12])]
    assert record.findings == []
    told = [example for group in prepared(folder).findings for example in group.examples]
    assert any(
        "1 of 3 begin at 0, and VOC counts pixels from 1" in text
        and text.endswith("the first: Annotations/a.xml object 2")
        for text in told
    )
    assert boxes(folder)["a.png"][1] == (1, [0, 0, 8, 12])  # clipped, with a warning


def test_classes_in_an_order_of_ones_own(folder: VocFolder) -> None:
    record = prepared(folder.write(), classes=["dog", "owl", "big cat"])
    assert record.classes == ["dog", "owl", "big cat"]
    assert [category for category, _ in boxes(folder)["a.png"]] == [3, 1]
    told = refusal(folder, classes=["dogs", "big cat"])
    assert "own (train): Annotations/a.xml object 2: 'dog' is no class of data.voc_dir.classes; did you mean" in told


def test_difficult_objects_count_as_vocs_own_evaluation_counts_them(folder: VocFolder) -> None:
    folder.files["a"] = document(OBJECTS["a"], more="<difficult>1</difficult>")
    record = prepared(folder.write())
    assert (record.splits["train"].boxes, record.splits["train"].crowd_boxes) == (1, 2)
    assert "2 of 3 are marked difficult and become crowd boxes" in record.findings[0].examples[0]
    assert prepared(folder, difficult="keep").splits["train"].boxes == 3


FLAT = {"annotations": ".", "images": "."}


def flatten(folder: VocFolder) -> None:
    for path in [*folder.root.glob("*/*.png"), *folder.root.glob("*/*.xml")]:
        path.rename(folder.root / path.name)


def test_files_side_by_side_are_split_here(folder: VocFolder) -> None:
    folder.files |= {f"more{number}": document([("dog", (2, 2, 20, 20))]) for number in range(20)}
    folder.write()
    flatten(folder)
    (folder.root / "c.xml").rename(folder.root / "c.XML")
    record = prepared(folder, train=FLAT, val=None, test=None)
    assert record.made_splits is not None
    assert sum(split.images for split in record.splits.values()) == 26
    assert sum(split.boxes for split in record.splits.values()) == 29


def test_an_image_without_a_file_has_no_objects(folder: VocFolder) -> None:
    folder.write()
    (folder.root / "Annotations/b.xml").unlink()
    record = prepared(folder)
    assert record.splits["train"].images_without_boxes == 1
    told = [example for group in record.findings for example in group.examples]
    assert "images: 1 of 2 have no XML file and are taken for images without objects; the first: b.png" in told
    (folder.root / "Annotations/a.xml").unlink()
    assert "annotations: none of 2 in JPEGImages has an XML file of its name in Annotations" in refusal(folder)


def test_a_file_without_an_image_is_told(folder: VocFolder) -> None:
    folder.write()
    (folder.root / "JPEGImages/f.png").unlink()
    whole = {"annotations": "Annotations", "images": "JPEGImages"}
    source = make(chosen(folder.root, train=whole, val=None, test=None), Path(), Path())
    assert [(f.severity, f.item, f.message) for f in source.findings] == [
        ("warning", "Annotations/f.xml", "there is no image of this name; its boxes are left out")
    ]
    assert "own (test): test.txt line 2: there is no image 'f' in JPEGImages" in refusal(folder)


def test_two_images_of_one_name_are_an_error(folder: VocFolder) -> None:
    folder.write().write_image("JPEGImages/a.bmp", 77)
    assert "own (train): a.png: has the name of a.bmp: which of the two is annotated?" in refusal(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "Annotations/a.xml: not a Pascal-VOC file"),
        ("<html/>", "Annotations/a.xml: not a Pascal-VOC file: the root element is <html>, not <annotation>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "Annotations/a.xml: declares a document type or entities"),
        (document([("", (1, 2, 3, 4))]), "Annotations/a.xml object 1: needs a name and numbers xmin"),
        (document([("dog", (1, 2, 3, 4)), ("dog", (1, "x", 3, 4))]), "Annotations/a.xml object 2: needs a name and"),
        (document([("dog", (1, "nan", 3, 4))]), "needs a name and numbers"),
        (document([("dog", (1, "1e999", 3, 4))]), "needs a name and numbers"),
        (document([("dog", (1, "1_0", 3, 4))]), "needs a name and numbers"),
        (document([("dog", (1, "²", 3, 4))]), "needs a name and numbers"),
        (document([("dog", (9, 2, 3, 4))]), "Annotations/a.xml object 1: bbox [8, 1, -5, 3] has no area"),
        (document([("dog", (1, 2, 60, 4))]), "object 1: bbox [0, 1, 60, 3] reaches outside a.png (40x30 pixels); cor"),
        (document(OBJECTS["a"], size=(41, 30)), "own (train): a.png: its annotations say 41x30 pixels, a.png has 40x3"),
        (document(OBJECTS["a"], size=("x", 30)), "own (train): a.png: its annotations say 'x'x30 pixels"),
        (document([("d\x85g", (1, 2, 3, 4))]), "needs a whole number as id and a text as name"),
    ],
)
def test_a_bad_file_is_named_with_its_object(folder: VocFolder, text: str, message: str) -> None:
    folder.files["a"] = text
    assert message in refusal(folder.write())


def test_no_size_is_taken_from_the_image(folder: VocFolder) -> None:
    folder.files["a"] = document(OBJECTS["a"], size=None)
    folder.files["b"] = document(OBJECTS["b"], size=(0, 0))
    (group,) = prepared(folder.write()).findings
    assert group.examples == [
        f"{name}.png: no width and height are given; 40x30 taken from the file" for name in ("a", "b")
    ]


def test_boxes_outside_and_without_area_follow_the_settings(folder: VocFolder) -> None:
    folder.files["a"] = document([("dog", (31, 1, 60, 30)), ("big cat", (5, 5, 4, 9))])
    record = prepared(folder.write(), boxes_outside="clip", boxes_without_area="drop")
    assert boxes(folder)["a.png"] == [(2, [30, 0, 10, 30])]
    assert sorted(group.examples[0][:27] for group in record.findings) == [
        "Annotations/a.xml object 1:",
        "Annotations/a.xml object 2:",
        "category 0: 'big cat' has n",
    ]


def test_missing_folders_and_lists_name_the_section(folder: VocFolder) -> None:
    told = refusal(folder)
    assert "own/JPEGImages: No such file or directory; check data.voc_dir in params.yaml" in told
    assert "image_set: " in told
    assert find_source_files(chosen(folder.root)).folders == {"Annotations": None, "JPEGImages": None}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: folder.write_text("Annotations/a.xml", document(OBJECTS["b"])),
        lambda folder: (folder.root / "Annotations/f.xml").unlink(),
        lambda folder: folder.write_text("ImageSets/Main/val.txt", "c\n"),
        lambda folder: folder.write_image("JPEGImages/g.png", 9),
    ],
)
def test_a_change_is_noticed(folder: VocFolder, change) -> None:
    before = find_source_files(chosen(folder.write().root))
    assert before == find_source_files(chosen(folder.root))
    assert list(before.annotations) == [f"ImageSets/Main/{name}.txt" for name in ("test", "train", "val")]
    change(folder)
    assert find_source_files(chosen(folder.root)) != before


def test_settings_are_checked() -> None:
    for section, message in (
        ({"classes": ["a", "b", "a"]}, "a: given twice"),
        ({"classes": []}, "at least 1 item"),
        ({"corners": "two_based"}, "'one_based' or 'zero_based'"),
        ({"splits": {"group_by": {"key": "video"}}}, "there is no json; use name"),
    ):
        with pytest.raises(SettingsError, match=message):
            parse_params({"data": {"name": "voc_dir", "voc_dir": section}})


CUTS = st.lists(st.integers(0, 4000) | st.floats(0, 4000), min_size=2, max_size=2, unique=True).map(sorted)


@given(st.lists(st.tuples(CUTS, CUTS), min_size=1, max_size=5), st.sampled_from(["one_based", "zero_based"]))
def test_corners_come_back_from_files(pixels, corners: str) -> None:
    shift = 1 if corners == "one_based" else 0
    objects = [("dog", (repr(x[0] + shift), repr(y[0] + shift), repr(x[1]), repr(y[1]))) for x, y in pixels]
    notes = Findings("a.xml")
    said = read_voc(document(objects).encode(), "a.xml", notes)
    assert said is not None
    assert notes.found == []
    for item, (x, y) in zip(said.objects, pixels, strict=True):
        x1, y1, x2, y2 = item.corners
        assert [x1 - shift, y1 - shift, x2, y2] == pytest.approx([x[0], y[0], x[1], y[1]], abs=1e-3)


@given(st.binary(max_size=200) | st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode))
def test_whatever_comes_in_is_a_file_or_a_finding(content: bytes) -> None:
    notes = Findings("a.xml")
    if read_voc(content, "a.xml", notes) is None:
        assert [found.severity for found in notes.found] == ["error"]
