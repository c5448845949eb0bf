import contextlib
import hashlib
import io
import json
from pathlib import Path

import cv2
import pytest
from mmdet.datasets import CocoDataset
from pycocotools.coco import COCO

from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings, DigitsSettings
from pipeline.datasets.preparation import prepare
from pipeline.datasets.prepared import measured_split, read_dataset, split_paths
from pipeline.errors import DatasetError

SMALL = DataSettings(digits=DigitsSettings(image_size=96, train=5, val=2, test=3))


def custom(root: Path, **splits: CocoSplitSettings | None) -> DataSettings:
    listed = {
        name: CocoSplitSettings(annotations=f"annotations/{name}.json", images=f"images/{name}")
        for name in ("train", "val", "test")
    }
    return DataSettings(name="coco_dir", coco_dir=CocoDirSettings(root=root, **{**listed, **splits}))


def tree(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_digits_are_prepared_the_same_twice_and_as_coco_json(photo_cache, tmp_path):
    record = prepare(SMALL, tmp_path / "a", photo_cache)
    assert prepare(SMALL, tmp_path / "b", photo_cache) == record
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert read_dataset(tmp_path / "a") == record
    assert (record.composed, record.classes) == (True, list("0123456789"))
    assert all("has no box in this split" in finding.kind for finding in record.findings)
    assert {name: split.images for name, split in record.splits.items()} == {"train": 5, "val": 2, "test": 3}
    for split in record.splits.values():
        annotations, image_root = split_paths(tmp_path / "a", split)
        coco = read_coco(annotations)
        assert len(coco.getAnnIds()) == split.boxes == sum(split.boxes_per_class.values())
        assert [coco.cats[number]["name"] for number in range(1, 11)] == record.classes
        for image in coco.loadImgs(coco.getImgIds()):
            assert cv2.imread(str(image_root / image["file_name"]), cv2.IMREAD_COLOR).shape == (96, 96, 3)


def test_the_seed_changes_the_data(photo_cache, tmp_path):
    other = SMALL.model_copy(update={"digits": SMALL.digits.model_copy(update={"seed": 1})})
    first, second = (prepare(settings, tmp_path / "a", photo_cache) for settings in (SMALL, other))
    assert all(first.splits[name].sha256 != second.splits[name].sha256 for name in first.splits)


def test_a_folder_of_the_users_is_validated_and_its_images_stay(coco_folder, tmp_path):
    folder = coco_folder()
    folder.splits["train"]["annotations"][1]["iscrowd"] = 1
    folder.splits["train"]["images"].append({"id": 3, "file_name": "3.png", "width": 40, "height": 30})
    folder.write()
    out = tmp_path / "data" / "prepared"
    record = prepare(custom(folder.root), out, tmp_path)
    assert (record.composed, record.classes, record.findings) == (False, ["cat", "dog"], [])
    train = record.splits["train"]
    assert (train.images, train.boxes, train.crowd_boxes, train.images_without_boxes) == (3, 2, 1, 1)
    assert train.boxes_per_class == {"cat": 1, "dog": 1}
    annotations, image_root = split_paths(out, train)
    assert image_root == folder.folder("train")
    assert not (out / "images").exists()
    coco = read_coco(annotations)
    assert sorted(coco.getImgIds()) == [1, 2, 3]
    assert sorted(coco.getAnnIds()) == [1, 2, 3]
    assert sorted(coco.getCatIds()) == [1, 2]


def test_a_relative_root_is_recorded_so_that_the_project_can_move(coco_folder, tmp_path, monkeypatch):
    coco_folder().write()
    monkeypatch.chdir(tmp_path)
    record = prepare(custom(Path("custom")), Path("data/prepared"), Path("cache"))
    assert record.splits["val"].image_root == "../../custom/images/val"
    assert split_paths(Path("data/prepared"), record.splits["val"])[1] == Path("custom/images/val")
    assert str(tmp_path) not in Path("data/prepared/dataset.json").read_text()


def test_without_a_test_split_val_is_measured_with_a_warning(coco_folder, tmp_path):
    folder = coco_folder().write()
    record = prepare(custom(folder.root, test=None), tmp_path / "out", tmp_path)
    assert list(record.splits) == ["train", "val"]
    assert [measured_split(record, wanted) for wanted in ("test", "val")] == ["val", "val"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == ["dataset.json", "train.json", "val.json"]
    (finding,) = record.findings
    assert (finding.severity, finding.count, Path(finding.file).name) == ("warning", 1, "val.json")
    assert "no test split: val, which also chooses, is measured" in finding.examples[0]
    whole = prepare(custom(folder.root), tmp_path / "out", tmp_path)
    assert [measured_split(whole, wanted) for wanted in ("test", "val")] == ["test", "val"]


def test_a_test_split_that_is_val_counts_as_none_and_one_that_is_train_is_refused(coco_folder, tmp_path):
    folder = coco_folder().write()
    settings = custom(folder.root).coco_dir
    record = prepare(custom(folder.root, test=settings.val), tmp_path / "out", tmp_path)
    assert list(record.splits) == ["train", "val"]
    assert ["no test split" in finding.kind for finding in record.findings] == [True]
    with pytest.raises(DatasetError, match=r"is also in train .*keep splits disjoint"):
        prepare(custom(folder.root, test=settings.train), tmp_path / "out", tmp_path)


def test_boxes_without_area_are_dropped_where_asked_and_each_is_listed(coco_folder, tmp_path):
    folder = coco_folder()
    boxes = folder.splits["train"]["annotations"]
    boxes += [{**boxes[0], "id": 40, "bbox": [3, 3, 0, 5]}, {**boxes[0], "id": 41, "bbox": [3, 3, 5, 0.0]}]
    folder.write()
    with pytest.raises(DatasetError, match=r"annotation 40: bbox \[3, 3, 0, 5\] has no area"):
        prepare(custom(folder.root), tmp_path / "out", tmp_path)
    settings = custom(folder.root)
    dropping = settings.coco_dir.model_copy(update={"boxes_without_area": "drop"})
    record = prepare(settings.model_copy(update={"coco_dir": dropping}), tmp_path / "out", tmp_path)
    assert record.splits["train"].boxes == 3
    (finding,) = record.findings
    assert (finding.severity, finding.count) == ("warning", 2)
    assert [example[:15] for example in finding.examples] == ["annotation 40: ", "annotation 41: "]
    assert "left out (data.coco_dir.boxes_without_area: drop)" in finding.examples[0]


@pytest.mark.parametrize(
    "box", [[3, 3, -1, 5], [3, 3, 5], [3, 3, "5", 0], [3, 3, float("nan"), 0], None, [True, 3, 3, 0]]
)
def test_only_boxes_without_area_are_dropped(coco_folder, tmp_path, box):
    folder = coco_folder()
    folder.splits["train"]["annotations"][0]["bbox"] = box
    folder.write()
    settings = custom(folder.root)
    dropping = settings.coco_dir.model_copy(update={"boxes_without_area": "drop"})
    with pytest.raises(DatasetError, match=r"annotation 1: bbox"):
        prepare(settings.model_copy(update={"coco_dir": dropping}), tmp_path / "out", tmp_path)


def learnt_and_counted(folder, out: Path) -> tuple[list[int], list[int]]:
    """Boxes of the two train images that mmdet learns from, and those that count for pycocotools."""
    record = prepare(custom(folder.write().root), out)
    with contextlib.redirect_stdout(io.StringIO()):
        trained = CocoDataset(
            ann_file=str(out / "train.json"),
            data_prefix={"img": str(folder.folder("train"))},
            metainfo={"classes": tuple(record.classes)},
            filter_cfg={"filter_empty_gt": False},
            pipeline=[],
        )
    learnt = [[box for box in trained.get_data_info(place)["instances"] if not box["ignore_flag"]] for place in (0, 1)]
    truth = read_coco(out / "train.json")
    counted = [truth.getAnnIds(imgIds=[number], areaRng=[0, 1e10], iscrowd=False) for number in (1, 2)]
    return [len(boxes) for boxes in learnt], [len(boxes) for boxes in counted]


def test_boxes_whose_area_says_0_are_learnt_from_and_counted(coco_folder, tmp_path):
    folder = coco_folder()
    for entry, area in zip(folder.splits["train"]["annotations"], (0, -3, float("nan")), strict=True):
        entry["area"] = area
    assert learnt_and_counted(folder, tmp_path / "prepared") == ([2, 1], [2, 1])


def test_boxes_to_ignore_are_neither_learnt_from_nor_counted(coco_folder, tmp_path):
    folder = coco_folder()
    folder.splits["train"]["annotations"][0]["ignore"] = 1
    assert learnt_and_counted(folder, tmp_path / "prepared") == ([1, 1], [1, 1])


def test_names_with_spaces_of_all_kinds_are_prepared(coco_folder, tmp_path):
    folder = coco_folder()
    image = folder.splits["train"]["images"][0]
    image["file_name"] = "at\u00a09\u202fAM.png"
    for content in folder.splits.values():
        content["categories"][1]["name"] = "big\u00a0cat"
    record = prepare(custom(folder.write().root), tmp_path / "out", tmp_path)
    assert record.classes == ["big\u00a0cat", "dog"]
    assert read_coco(tmp_path / "out" / "train.json").imgs[1]["file_name"] == image["file_name"]


def test_a_second_list_of_annotations_is_an_error_with_file_and_lines(coco_folder, tmp_path):
    folder = coco_folder().write()
    path = folder.root / "annotations" / "train.json"
    path.write_text(path.read_text()[:-1] + ',\n"annotations": []}')
    with pytest.raises(DatasetError, match=r"train\.json: whole file: .*annotations in line 1 and again in line 2"):
        prepare(custom(folder.root), tmp_path / "out", tmp_path)


def test_many_findings_are_counted_in_the_record_and_all_in_a_file(coco_folder, tmp_path):
    folder = coco_folder()
    boxes = folder.splits["val"]["annotations"]
    boxes += [{**boxes[0], "id": number, "bbox": [-0.5, number / 100, 9, 9]} for number in range(100, 130)]
    record = prepare(custom(folder.write().root), tmp_path / "out", tmp_path)
    (group,) = record.findings
    assert (group.count, len(group.examples)) == (30, 5)
    assert group.kind == "bbox … reaches over the border of … (…); clipped to it"
    lines = (tmp_path / "out" / "findings.txt").read_text().splitlines()
    assert len(lines) == 30
    assert lines[7] == f"warning: {group.file}: " + group.examples[0].replace("100", "107").replace("1.0", "1.07")


def test_without_findings_there_is_no_file_of_them(coco_folder, tmp_path):
    folder = coco_folder().write()
    prepare(custom(folder.root, test=None), tmp_path / "out", tmp_path)
    assert (tmp_path / "out" / "findings.txt").exists()
    prepare(custom(folder.root), tmp_path / "out", tmp_path)
    assert not (tmp_path / "out" / "findings.txt").exists()


def test_the_hash_of_a_split_covers_boxes_and_pixels(coco_folder, tmp_path):
    folder = coco_folder().write()
    first = prepare(custom(folder.root), tmp_path / "out", tmp_path)
    folder.write_image("train", "1.png", seed=77)
    folder.splits["val"]["annotations"][0]["bbox"] = [1, 2, 10, 11]
    (folder.root / "annotations" / "val.json").write_text(json.dumps(folder.splits["val"]))
    second = prepare(custom(folder.root), tmp_path / "out", tmp_path)
    changed = [name for name in first.splits if first.splits[name].sha256 != second.splits[name].sha256]
    assert changed == ["train", "val"]


def test_errors_list_everything_and_leave_the_earlier_data_set_as_it_was(coco_folder, tmp_path):
    folder = coco_folder().write()
    out = tmp_path / "out"
    prepare(custom(folder.root), out, tmp_path)
    before = tree(out)
    (folder.folder("train") / "1.png").unlink()
    (folder.root / "annotations" / "val.json").write_text("{broken")
    (folder.root / "annotations" / "test.json").unlink()
    with pytest.raises(DatasetError) as caught:
        prepare(custom(folder.root), out, tmp_path)
    message = str(caught.value)
    assert "3 error(s)" in message
    assert "val.json: whole file: not valid json" in message
    assert "test.json: whole file: no such file; check data.coco_dir.test in params.yaml" in message
    assert "image 1: no such file" in message
    assert (tmp_path / "out_findings.txt").read_text().count("error: ") == 3
    assert tree(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["custom", "out", "out_findings.txt"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 200_000, b"[1, 2]", b"null", b'{"images": 3}'])
def test_json_of_any_shape_is_an_error_with_the_files_name(coco_folder, tmp_path, content):
    folder = coco_folder().write()
    (folder.root / "annotations" / "train.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"annotations/train\.json: whole file: no"):
        prepare(custom(folder.root), tmp_path / "out", tmp_path)


def test_a_missing_folder_names_every_file_and_the_key(tmp_path):
    with pytest.raises(DatasetError, match=r"absent/annotations/train\.json.*data\.coco_dir\.train"):
        prepare(custom(tmp_path / "absent"), tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
