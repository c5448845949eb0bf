"""A pair that does not fit is refused before the first iteration."""

from typing import Any

import pytest

from pipeline.distillers import build_methods
from pipeline.errors import RecipeError

CROSSKD = {"type": "CrossKD", "reused_head_index": 1}
ANCHORS = {"type": "AnchorGenerator", "octave_base_scale": 8, "scales_per_octave": 1}
STRIDES = [8, 16, 32, 64, 128]
CODER = {"type": "DeltaXYWHBBoxCoder", "target_stds": (0.1, 0.1, 0.2, 0.2)}


@pytest.mark.parametrize(
    ("family", "head", "message"),
    [
        ("GFL", {"num_classes": 4}, "num_classes of the student is 3, of the teacher 4; train or fetch"),
        ("GFL", {"reg_max": 8}, "reg_max of the student is 16, of the teacher 8; set the same reg_max"),
        (
            "ATSS",
            {"anchor_generator": ANCHORS | {"ratios": [1.0], "strides": STRIDES[:4]}},
            "number of levels of the student is 5, of the teacher 4; set neck.num_outs",
        ),
        (
            "ATSS",
            {"anchor_generator": ANCHORS | {"ratios": [1.0], "strides": [4, *STRIDES[1:]]}},
            r"strides of the student is \[8, 16, .*, of the teacher \[4, 16, .*give both heads",
        ),
        (
            "RetinaNet",
            {"anchor_generator": ANCHORS | {"ratios": [1.0], "strides": STRIDES}},
            r"number of anchors per location of the student is \[9, .*, of the teacher \[1, .*same anchor_generator",
        ),
        (
            "ATSS",
            {"anchor_generator": ANCHORS | {"ratios": [2.0], "strides": STRIDES}},
            r"anchors of the student is .*, of the teacher .*set the same anchor_generator",
        ),
        (
            "RetinaNet",
            {"bbox_coder": CODER},
            r"box coder of the student is .*\(1.0, 1.0, 1.0, 1.0\).*, of the teacher .*\(0.1, 0.1, 0.2, 0.2\)",
        ),
        (
            "RetinaNet",
            {"loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False}},
            "teacher's head classifies by softmax; only loss_cls.use_sigmoid=True",
        ),
    ],
)
def test_heads_that_do_not_fit_name_both_sides(
    make_detector: Any, family: str, head: dict[str, Any], message: str
) -> None:
    student, teacher = make_detector(family), make_detector(family, **head)
    with pytest.raises(RecipeError, match=message):
        build_methods([CROSSKD], student, teacher)


def test_every_mismatch_is_listed(make_gfl: Any) -> None:
    student, teacher = make_gfl(), make_gfl(num_classes=4, reg_max=8)
    with pytest.raises(RecipeError, match="num_classes") as error:
        build_methods([CROSSKD], student, teacher)
    assert len(str(error.value).splitlines()) == 2


def test_heads_of_two_families_are_refused_by_crosskd(make_detector: Any) -> None:
    student, teacher = make_detector("GFL"), make_detector("ATSS")
    with pytest.raises(RecipeError, match="student's head is GFLHead, the teacher's ATSSHead; choose a teacher"):
        build_methods([CROSSKD], student, teacher)


@pytest.mark.parametrize(("name", "part"), [("CrossKD", "head"), ("PKD", "FPN")])
def test_other_widths_need_an_adapter(make_gfl: Any, name: str, part: str) -> None:
    student, teacher = make_gfl(width=32), make_gfl(width=64)
    index = {"reused_head_index": 1} if name == "CrossKD" else {}
    with pytest.raises(RecipeError, match=f"{part} is 32 channels wide and the teacher's 64; set `adapter=True`"):
        build_methods([{"type": name, **index}], student, teacher)


def test_an_index_beyond_the_students_towers_is_refused(make_detector: Any) -> None:
    student, teacher = make_detector("FCOS"), make_detector("FCOS", stacked_convs=4)
    with pytest.raises(RecipeError, match="reused_head_index is 3, but the student's towers have 2 convolutions"):
        build_methods([{"type": "CrossKD", "reused_head_index": 3}], student, teacher)


@pytest.mark.parametrize("method", [CROSSKD, {"type": "PKD"}, {"type": "CSKD"}])
@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "c", "b"], r"classes of the student is \['a', 'b', 'c'\], of the teacher \['a', 'c', 'b'\]; order the"),
        (["a", "b", "d"], r"of the teacher \['a', 'b', 'd'\]; choose a teacher that was trained for the student's"),
    ],
)
def test_other_classes_or_another_order_are_refused(
    make_gfl: Any, method: dict[str, Any], classes: list[str], message: str
) -> None:
    student, teacher = make_gfl(), make_gfl()
    build_methods([method], student, teacher)  # neither says what its classes are
    student.dataset_meta = {"classes": ("a", "b", "c")}
    build_methods([method], student, teacher)
    teacher.dataset_meta = {"classes": classes}
    with pytest.raises(RecipeError, match=message):
        build_methods([method], student, teacher)


@pytest.mark.parametrize(
    ("family", "student", "teacher", "method", "message"),
    [
        ("GFL", {"reg_max": 8}, {}, {}, "CSKD: reg_max of the student is 8, of the teacher 16; set the same reg_max"),
        ("FCOS", {"norm_on_bbox": True}, {}, {}, "norm_on_bbox of the student is True, of the teacher False; set"),
        ("ATSS", {}, {"stacked_convs": 4}, {}, "stacked_convs of the student is 2, of the teacher 4; compare the last"),
        ("ATSS", {}, {"stacked_convs": 4}, {"branch_convs": [[1, 5]]}, r"give 'all', 'last', or pairs .*\(1 to 4\)"),
        ("ATSS", {}, {}, {"branch_convs": "first"}, "branch_convs is 'first'; give 'all', 'last', or pairs"),
        ("GFL", {"feat_channels": 64}, {}, {}, "cls tower is 64 channels wide and the teacher's 32; set `branch_adapt"),
    ],
)
def test_cskd_names_both_sides(
    make_detector: Any,
    family: str,
    student: dict[str, Any],
    teacher: dict[str, Any],
    method: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(RecipeError, match=message):
        build_methods([{"type": "CSKD"} | method], make_detector(family, **student), make_detector(family, **teacher))


def test_cskd_without_its_convolutions_needs_equal_widths(make_gfl: Any) -> None:
    student, teacher = make_gfl(width=32), make_gfl(width=64)
    method = {"type": "CSKD", "neck_adapt": False}
    with pytest.raises(
        RecipeError, match="FPN is 32 channels wide and the teacher's 64; set `neck_adapt=True`"
    ) as error:
        build_methods([method], student, teacher)
    assert len(str(error.value).splitlines()) == 5  # the FPN, and two convolutions of each branch
