import shutil

import pytest

from deploy.runtime.errors import ImageError
from pipeline.report.gallery import gallery


def test_every_model_sees_the_same_images(results, run):
    rows = gallery(results, run)
    assert len(rows) == len({row.file for row in rows}) == 3
    for row in rows:
        assert [cell.column for cell in row.cells] == ["ground truth", "teacher", "twin", "crosskd"]
        assert row.photo.size == (256, 256)
        kinds = {mark.kind for cell in row.cells[1:] for mark in cell.marks}
        assert {mark.kind for mark in row.cells[0].marks} == {"truth"}
        assert kinds <= {"right", "wrong", "missed"}


def test_summaries_add_up_to_the_ground_truth(results, run):
    for row in gallery(results, run):
        boxes = int(row.cells[0].summary.split()[0])
        for cell in row.cells[1:]:
            right, wrong, missed = (int(part.split()[0]) for part in cell.summary.split(", "))
            assert right + missed == boxes
            assert len(cell.marks) == right + wrong + missed


def test_a_missing_image_is_named(results, run, tmp_path):
    root = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(root / "data/prepared/images/test")
    with pytest.raises(ImageError, match=r"images/test/test_\d+.png"):
        gallery(results, root)
