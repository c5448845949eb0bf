from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.backends.bindings import ANY, Binding, check_bindings, choose_profile, expected_bindings
from deploy.runtime.engine_file import Profile
from deploy.runtime.errors import ArtefactError
from tests.deploy.tiny import SPEC

PROFILES = [Profile(1, 1, 1), Profile(1, 8, 32), Profile(16, 64, 128)]


def test_sizes_of_the_bindings() -> None:
    sizes = {binding.name: binding.nbytes(3) for binding in expected_bindings(SPEC)}
    assert sizes == {
        "images": 3 * 32 * 48 * 3,
        "boxes": 3 * 2 * 4 * 4,
        "scores": 3 * 2 * 4,
        "labels": 3 * 2 * 8,
        "num_dets": 3 * 8,
    }


def test_bindings_come_back_in_the_order_of_the_artefact() -> None:
    expected = expected_bindings(SPEC)
    assert check_bindings(expected[::-1], SPEC, "x") == expected
    assert expected[0].shape_of(5) == (5, 32, 48, 3)


@pytest.mark.parametrize(
    ("index", "changes", "message"),
    [
        (0, {"dtype": np.dtype(np.float32)}, r"images must be input uint8 \[batch, 32, 48, 3\], got input float32"),
        (0, {"shape": (ANY, 3, 32, 48)}, r"images must be .*got input uint8 \[batch, 3, 32, 48\]"),
        (1, {"shape": (ANY, 100, 4)}, r"boxes must be output float32 \[batch, 2, 4\], got output float32 \[batch, 100"),
        (3, {"dtype": np.dtype(np.int32)}, r"labels must be output int64 \[batch, 2\], got output int32"),
        (2, {"name": "score"}, r"score is unknown; scores is missing"),
        (4, {"is_input": True}, r"num_dets must be output int64 \[batch\], got input int64"),
    ],
)
def test_bindings_that_do_not_fit_are_named(index: int, changes: dict[str, object], message: str) -> None:
    found: list[Binding] = list(expected_bindings(SPEC))
    found[index] = replace(found[index], **changes)
    with pytest.raises(ArtefactError, match=rf"x\.engine: its inputs and outputs do not fit: .*{message}"):
        check_bindings(found, SPEC, "x.engine")


@pytest.mark.parametrize(("batch", "profile"), [(1, 0), (2, 1), (8, 1), (20, 1), (32, 1), (33, 2), (128, 2)])
def test_a_batch_runs_under_the_profile_that_is_tuned_nearest(batch: int, profile: int) -> None:
    assert choose_profile(PROFILES, batch, "x") == profile


@pytest.mark.parametrize("batch", [0, 129])
def test_a_batch_outside_every_profile_is_an_error(batch: int) -> None:
    with pytest.raises(
        ArtefactError, match=rf"x: a batch of {batch} images is outside .*\(1 to 1, 1 to 32, 16 to 128\)"
    ):
        choose_profile(PROFILES, batch, "x")


@given(st.integers(-3, 140))
def test_the_chosen_profile_takes_the_batch(batch: int) -> None:
    taking = [profile for profile in PROFILES if profile.least <= batch <= profile.most]
    if not taking:
        with pytest.raises(ArtefactError):
            choose_profile(PROFILES, batch, "x")
        return
    chosen = PROFILES[choose_profile(PROFILES, batch, "x")]
    assert abs(chosen.best - batch) == min(abs(profile.best - batch) for profile in taking)
