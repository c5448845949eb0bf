import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.json_files import RepeatedKeyError, read_json

TWICE = """{"images": [],
 "annotations": [{"id": 1, "bbox": [1, 2, 3, 4],
   "note": "a \\"quoted\\" {brace}, [bracket]: comma", "b\\u0062ox": [0, 0, 9, 9]}],
 "annotations": []
}"""


def problem(text: str, tmp_path, encoding: str = "utf-8") -> str:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(RepeatedKeyError) as caught:
        read_json(path)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_every_repeated_key_is_named_with_its_path_and_lines(tmp_path, encoding):
    told = problem(TWICE, tmp_path, encoding)
    assert told == (
        "2 key(s) are given twice in one object: annotations[0].bbox in line 2 and again in line 3; annotations in "
        "line 2 and again in line 4; only the last would count, so join the two or take one out"
    )


def test_equal_keys_in_different_objects_are_none(tmp_path):
    content = {"images": [{"id": 1, "id2": {"id": 1}}, {"id": 1}], "id": "id", "annotations": ["id", "id"]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert read_json(path) == content


def test_equal_values_do_not_make_a_repeated_key_right(tmp_path):
    assert "[1].id in line 1 and again in line 1" in problem('[{}, {"id": 1, "id": 1}]', tmp_path)


def test_only_the_first_of_many_are_listed(tmp_path):
    told = problem('{"a": [' + ", ".join(['{"b": 1, "b": 2}'] * 70) + "]}", tmp_path)
    assert told.startswith("70 key(s)")
    assert "a[4].b" in told
    assert "a[5]" not in told
    assert "; and 65 more; only" in told


def test_what_is_no_json_is_a_value_error(tmp_path):
    (tmp_path / "a.json").write_text("{]")
    with pytest.raises(ValueError, match="line 1"):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize(
    "rest",
    [
        "]]]}}}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '"\\x"',
        '{"\\ud800": 1, "\\z": 2}',
        "," * 1000,
        '"never closed',
        "\x00",
    ],
    ids=range(8),
)
def test_what_stands_behind_a_repeated_key_may_be_anything(tmp_path, rest):
    """The parser stops at the first one, and has seen nothing of what follows."""
    told = problem('{"a": {"b": 1, "b": 2}, "c": ' + rest, tmp_path)
    assert "a.b in line 1 and again in line 1" in told


def test_a_deep_path_is_told_by_its_first_steps(tmp_path):
    told = problem("[" * 500 + '{"b": 1, "b": 2}' + "]" * 500, tmp_path)
    assert len(told) < 300
    assert "[0][0]" in told


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=4) | st.sampled_from(["{", '"', ",", "\\", "[]"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["a", '"', "{", "\\"]) | st.text(max_size=2), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_whatever_stands_before_it_the_path_of_a_repeated_key_is_found(tmp_path_factory, before):
    text = f'{{"x": {json.dumps(before)}, "y": [0, [{{"k": 1,\n"k": 2}}]]}}'
    told = problem(text, tmp_path_factory.mktemp("json"))
    assert told.startswith("1 key(s) are given twice in one object: y[1][0].k in line 1 and again in line 2")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.json")
    with pytest.raises(OSError, match="named pipe"):
        read_json(tmp_path / "train.json")
