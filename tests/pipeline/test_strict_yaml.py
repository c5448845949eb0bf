"""What a value that is none of its kind becomes: one error that says where; test_settings.py has what is read."""

from pathlib import Path

import pytest

from deploy.runtime.text_files import UnreadableText
from pipeline.errors import SettingsError
from pipeline.profiles import load_profile
from pipeline.settings import PARAMS_FILE, load_params, parse_params
from pipeline.strict_yaml import read_yaml, read_yaml_file

STUMBLED = {
    "!!int x": "this is no int",
    "!!float x": "this is no float",
    "!!bool x": "this is no bool",
    "!!timestamp x": "this is no timestamp",
    "2024-13-45": "this is no timestamp",
    "!!int '" + "1" * 5000 + "'": "this is no int",
    "[" * 5000 + "]" * 5000: "collections inside each other",
    "*nobody": "undefined alias",
    "!!python/object/apply:os.getcwd []": "could not determine a constructor",
    "!!map [a]": "expected a mapping node",
    "'\x01'": "special characters are not allowed",
    "{? [a] : b}": "found unhashable key",
}


@pytest.mark.parametrize("where", ["", "a: ", "- ", "{a: [{b: "])
@pytest.mark.parametrize(("value", "reason"), STUMBLED.items(), ids=range(len(STUMBLED)))
def test_what_pyyaml_stumbles_over_is_one_error(where: str, value: str, reason: str) -> None:
    closing = "}]}" if "{" in where else ""
    with pytest.raises(UnreadableText, match=f"(?s)not valid YAML: .*{reason}"):
        read_yaml(where + value + closing)


def test_the_place_of_a_value_is_told() -> None:
    with pytest.raises(UnreadableText, match=r"this is no timestamp .*\n.*line 3, column 6"):
        read_yaml("a: 1\nb:\n  c: 2024-13-45\n")


@pytest.mark.parametrize("content", [b"a: \xff", "ä: ö".encode("latin-1"), b"a: !!int x"])
def test_every_reader_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    with pytest.raises(UnreadableText, match=r"UTF-8|no int"):
        read_yaml_file(path)
    for reader in (load_params, load_profile):
        with pytest.raises(SettingsError, match=r"my\.yaml: (no text in UTF-8|not valid YAML)"):
            reader(path)


def test_a_number_of_thousands_of_digits_is_a_finding() -> None:
    content = read_yaml(f"train: {{device: 0x{'f' * 5000}}}")
    with pytest.raises(SettingsError, match=r"train\.device: .*too large to show"):
        parse_params(content)


def test_many_findings_are_counted_and_the_first_are_listed() -> None:
    with pytest.raises(SettingsError, match=r"has \d{4} invalid value\(s\)") as caught:
        parse_params({f"key{number}": 1 for number in range(2000)})
    assert len(str(caught.value).splitlines()) == 52
    assert str(caught.value).endswith(" more")


@pytest.mark.parametrize("key", ["train.seed", "evaluate.seed", "data.digits.seed", "precision.calibration.seed"])
@pytest.mark.parametrize("value", ["-1", "4294967296", "0x" + "f" * 5000], ids=["negative", "large", "digits"])
def test_a_seed_that_numpy_does_not_take_is_a_finding(key: str, value: str) -> None:
    content = read_yaml(PARAMS_FILE.read_text(encoding="utf-8"))
    *way, last = key.split(".")
    section = content
    for part in way:
        section = section.setdefault(part, {})
    section[last] = read_yaml(value)
    with pytest.raises(SettingsError, match=rf"{key}: Input should be "):
        parse_params(content)
