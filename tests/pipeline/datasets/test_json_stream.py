import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import json_stream
from pipeline.datasets.json_files import read_json
from pipeline.datasets.json_stream import NotInPieces, read_in_pieces

TEXT = """ {"info": {"a": [1, {"b": null}]}, "version" :1.25, "n": -12 , "list": [ 1, 2.5e3 ,"x, ]}", {"k": [3]}, [4],
 NaN, -Infinity, "\\ud83d\\ude00 \\ud800", true,false , null ] ,"none": [], "other": {"list": [9]}}\r\n\t """


def in_pieces(path) -> tuple[dict, list]:
    taken: list = []
    found = read_in_pieces(path, {"list": taken, "none": [], "info": []})
    return found, taken


@pytest.fixture(params=[1, 2, 3, 7, 50, 1000])
def chunk(request, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", request.param)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le", "utf-32"])
def test_in_pieces_of_any_size_it_is_what_it_is_as_a_whole(tmp_path, chunk, encoding):
    path = tmp_path / "a.json"
    path.write_bytes(TEXT.replace('"x', '"é€😀').encode(encoding))
    found, taken = in_pieces(path)
    assert repr(found) == repr(read_json(path))
    assert found["list"] is taken
    assert found["other"] == {"list": [9]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["list", "info", "none"]) | st.text(max_size=3), JSON, min_size=1, max_size=5),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_whatever_the_json_it_is_the_same(tmp_path_factory, content, size, escaped, indent):
    path = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps(content, ensure_ascii=escaped, indent=indent)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", size)
        try:
            found, _ = in_pieces(path)
        except NotInPieces:
            assert not escaped  # half a surrogate pair may be cut by the end of a chunk
        else:
            assert repr(found) == repr(read_json(path))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "[]", "7", "{}", '{"list": [1, 2}', '{"list": [1,]}', '{"list": [1 2]}', '{"list": [,1]}'),
        *('{"list": [1]', '{"list": [1]} x', '{"list": [1]}{}', '{"list" [1]}', '{"list": }', "{7: 1}", '{"a": 01}'),
        *('{"a": 1, "a": 1}', '{"list": [], "list": []}', '{"list": [{"a": 1, "a": 1}]}', '{"a": {"b": 1, "b": 2}}'),
        *('{"a": tru}', '{"a": "\\x"}', '{"a": "line\nbreak"}', '{"a": 1' + 5000 * "0" + "}", '{"list": [1],}'),
        *('{"list": [' + "[" * 100_000 + "]" * 100_000 + "]}", '{"a":' * 100_000, '{"list": ["' + 100_000 * "x"),
    ],
    ids=range(28),
)
def test_what_is_no_such_json_is_left_to_the_reader_of_the_whole(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(NotInPieces):
        in_pieces(path)


@pytest.mark.parametrize("content", [b'{"a": "\xff"}', b'{"list": [\xc3', b"\xff\xfe{", "\ufeff\ufeff{}".encode()])
def test_bytes_that_are_no_text_are_left_to_it_too(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(NotInPieces):
        in_pieces(tmp_path / "a.json")


def test_no_more_than_a_chunk_and_a_value_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 100)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"list": [{"id": number} for number in range(1000)]}))
    window = json_stream._Window
    longest = []

    class Watched(window):
        def value(self):
            longest.append(len(self._text))
            return super().value()

    monkeypatch.setattr(json_stream, "_Window", Watched)
    assert len(in_pieces(path)[1]) == 1000
    assert max(longest) < 300


def test_what_is_no_file_is_an_error_of_the_system(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="named pipe"):
        in_pieces(tmp_path / "pipe.json")
    with pytest.raises(FileNotFoundError):
        in_pieces(tmp_path / "absent.json")
