from pathlib import Path

import pytest

from deploy.runtime.errors import shown
from deploy.runtime.text_files import MissingText, UnreadableText, read_json, read_text


def test_text_and_json_are_read_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"Stämme": [1, 2.5, null]}', encoding="utf-8")
    assert read_text(path) == '{"Stämme": [1, 2.5, null]}'
    assert read_json(path) == {"Stämme": [1, 2.5, None]}


UNREADABLE = {
    b"": "not valid json",
    b"{": "not valid json",
    b"\xff\xfe{}": "no text in UTF-8: byte 0xff at 0",
    '{"a": "ä"}'.encode("latin-1"): "no text in UTF-8: byte 0xe4 at 7",
    "{}".encode("utf-16"): "no text in UTF-8",
    b"[" * 100_000: "not valid json: nested too deeply",
    b'{"a":' * 100_000: "not valid json: nested too deeply",
    b"1" + b"0" * 5000: "not valid json: .*digits",
}


@pytest.mark.parametrize(("content", "reason"), UNREADABLE.items())
def test_whatever_is_wrong_is_one_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableText, match=reason):
        read_json(path)


@pytest.mark.parametrize("name", ["none.json", "none/none.json"])
def test_a_missing_file_can_be_told_apart(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingText, match="no such file"):
        read_text(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "reason"), [(".", "Is a directory"), ("a" * 300, "File name too long"), ("\0", "null")]
)
def test_a_path_that_leads_to_no_file_is_the_same_error(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UnreadableText, match=f"cannot be read: .*{reason}"):
        read_text(tmp_path / name)


ENDLESS: list[object] = []
for _ in range(10_000):
    ENDLESS = [ENDLESS]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ä\n", r"'ä\n'"),
        ("A" * 1000, "'" + "A" * 76 + "..."),
        (10**5000, "int that is too large to show"),
        (ENDLESS, "list that is too large to show"),
    ],
    ids=["short", "long", "digits", "nested"],
)
def test_any_value_can_be_shown_in_a_message(value: object, text: str) -> None:
    assert shown(value) == text
