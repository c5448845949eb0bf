"""Methods for a pair of the user's own: published settings, fitted to depths and widths."""

from pathlib import Path
from typing import Any

import pytest
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config

from pipeline.choice.suited_methods import check_supported, method_configs, method_names
from pipeline.errors import RecipeError, SettingsError
from pipeline.recipes import build_plain, set_num_classes
from tests.pipeline.choice.plain_files import FASTER_RCNN, plain, written


def built(folder: Path, text: str) -> BaseDetector:
    path = written(folder / "it.py", text)
    config = Config.fromfile(str(path))
    set_num_classes(config.model, 3)
    return build_plain(config, path)


@pytest.mark.parametrize(
    ("family", "student", "teacher", "expected"),
    [
        # Of equal depth and width: what was published, and nothing else.
        ("GFL", (32, 4), (32, 4), ({}, {}, {})),
        # The third convolution of two is none: the last but one, and 1x1 convolutions between the widths.
        (
            "GFL",
            (32, 2),
            (64, 4),
            (
                {"reused_head_index": 1, "adapter": True},
                {"adapter": True},
                {"branch_convs": "last", "branch_adapt": True},
            ),
        ),
        ("FCOS", (32, 4), (32, 4), ({}, {}, {})),
        ("RetinaNet", (32, 4), (64, 4), ({"adapter": True}, {"adapter": True}, {"branch_adapt": True})),
        (
            "RTMDet",
            (16, 2),
            (32, 2),
            ({"reused_head_index": 1, "adapter": True}, {"adapter": True}, {"branch_adapt": True}),
        ),
    ],
)
def test_published_settings_are_fitted_to_the_pair(
    family: str,
    student: tuple[int, int],
    teacher: tuple[int, int],
    expected: tuple[dict[str, Any], ...],
    tmp_path: Path,
) -> None:
    pair = [built(tmp_path, plain(family, width=width, convs=convs)) for width, convs in (student, teacher)]
    crosskd, pkd, cskd = expected
    assert method_configs("crosskd_pkd", *pair) == [{"type": "CrossKD", **crosskd}, {"type": "PKD", **pkd}]
    assert method_configs("cskd", *pair) == [{"type": "CSKD", **cskd}]


def test_each_kind_has_its_methods(tmp_path: Path) -> None:
    gfl, faster = built(tmp_path, plain("GFL")), built(tmp_path, FASTER_RCNN)
    check_supported(faster, "it.py")
    assert (method_names((), gfl), method_names((), faster)) == (("crosskd",), ("cskd",))
    assert method_names(("pkd", "cskd"), gfl) == ("pkd", "cskd")
    with pytest.raises(SettingsError, match=r"METHODS=crossk: no method; did you mean 'crosskd'\?"):
        method_names(("crossk",), gfl)
    assert method_configs("cskd", faster, faster) == [{"type": "CSKD"}]
    with pytest.raises(RecipeError, match=r"CrossKD is not written for .*two-stage"):
        method_configs("crosskd", faster, faster)
    with pytest.raises(RecipeError, match="the student's head is GFLHead, the teacher's ATSSHead"):
        method_configs("crosskd", gfl, built(tmp_path, plain("ATSS")))


def test_a_family_without_an_adapter_is_named_with_those_that_have_one(tmp_path: Path) -> None:
    detector = built(tmp_path, plain("FreeAnchor"))
    message = r"(?s)mine\.py: RetinaNet \(FreeAnchorRetinaHead\) has no adapter here.*supported are ATSS, .*FCOS"
    with pytest.raises(RecipeError, match=message):
        check_supported(detector, "mine.py")


def test_a_head_without_towers_is_distilled_by_pkd(tmp_path: Path) -> None:
    student, teacher = (built(tmp_path, plain("TOOD", width=width)) for width in (32, 64))
    check_supported(student, "mine.py")
    assert method_names((), student) == ("pkd",)
    assert method_configs("pkd", student, teacher) == [{"type": "PKD", "adapter": True}]
    for name in ("crosskd", "cskd"):
        with pytest.raises(RecipeError, match=r"the student's head \(TOODHead\) .* it has no towers, .*; take PKD"):
            method_configs(name, student, teacher)
