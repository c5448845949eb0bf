import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.box_entries import KEYS, BoxEntries

ENTRY = {"id": 1, "image_id": 2, "category_id": 3, "bbox": [1.0, 2, 3.5, 4], "area": 14, "iscrowd": 0, "ignore": 1}
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([0, 1, 2, 0.0, -0.0, 2**53, 2**53 - 1, -(2**53), 2**63, 10**400, float("nan"), float("inf")])
    | st.text(max_size=2)
)
NUMBERS = st.floats() | st.integers(-(2**54), 2**54)
ENTRIES = st.fixed_dictionaries(
    {"id": st.integers(), "image_id": st.integers(0, 9), "category_id": st.integers(0, 9)},
    optional={
        "bbox": st.lists(NUMBERS, min_size=4, max_size=4) | st.lists(VALUES, max_size=5),
        "area": NUMBERS | VALUES,
        "iscrowd": st.integers(0, 1) | VALUES,
        "ignore": st.integers(0, 1) | VALUES,
        "segmentation": VALUES,
    },
)
ANYTHING = ENTRIES | VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES) | st.lists(VALUES, max_size=3)


def kept(entry):
    return {key: entry[key] for key in KEYS if key in entry} if isinstance(entry, dict) else entry


def told(entries) -> list[str]:
    """Each value with its type: 1 is not 1.0, nan is nan."""
    return [repr(dict(sorted(entry.items())) if isinstance(entry, dict) else entry) for entry in entries]


@given(st.lists(ANYTHING, max_size=6))
def test_whatever_is_put_in_comes_back_with_its_type(entries):
    expected = told(map(kept, copy.deepcopy(entries)))
    found = BoxEntries(entries)
    assert len(found) == len(entries)
    assert told(found) == expected
    assert told(found[place] for place in range(-len(entries), 0)) == expected
    assert told(found[1:3]) == expected[1:3]


@given(st.lists(ANYTHING, min_size=1, max_size=4), ANYTHING, st.data())
def test_an_entry_that_is_set_replaces_one(entries, other, data):
    place = data.draw(st.integers(-len(entries), len(entries) - 1))
    found = BoxEntries(entries)
    found[place] = other
    entries[place] = other
    assert told(found) == told(map(kept, entries))


def test_places_outside_are_refused_as_by_a_list():
    found = BoxEntries([ENTRY])
    for place in (1, -2):
        with pytest.raises(IndexError):
            found[place]
        with pytest.raises(IndexError):
            found[place] = ENTRY


def test_entries_are_equal_to_a_list_of_the_same_ones():
    assert BoxEntries([ENTRY, 7]) == [ENTRY, 7] == BoxEntries([ENTRY, 7])
    assert BoxEntries([ENTRY]) != [{**ENTRY, "area": 15}]
    assert BoxEntries([ENTRY]) != [ENTRY, ENTRY]
    assert BoxEntries([ENTRY]) != ENTRY


def test_a_changed_copy_changes_nothing():
    found = BoxEntries([ENTRY])
    found[0]["bbox"][0] = 99
    assert found == [ENTRY]


# The second box has an area of more digits than a column holds.
@pytest.mark.parametrize("area", [4.5, 10**40])
def test_columns_and_new_categories_are_those_of_all_entries(area):
    found = BoxEntries([ENTRY, {**ENTRY, "id": 5, "category_id": 7, "area": area, "iscrowd": 1}])
    assert list(found.numbers("id")) == [1, 5]
    assert list(found.numbers("image_id")) == [2, 2]
    assert list(found.numbers("iscrowd")) == [0, 1]
    found.renumber_categories({3: 1, 7: 3})
    assert list(found.numbers("category_id")) == [1, 3]
    assert [entry["category_id"] for entry in found] == [1, 3]
    assert found[1]["area"] == area


def test_a_missing_flag_counts_as_0():
    entry = {key: ENTRY[key] for key in ("id", "image_id", "category_id", "bbox")}
    assert list(BoxEntries([entry]).numbers("iscrowd")) == [0]
    assert list(BoxEntries([entry, {**entry, "id": 2**70}]).numbers("iscrowd")) == [0, 0]
