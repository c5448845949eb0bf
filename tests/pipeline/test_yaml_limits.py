"""YAML that is small as text and large as values: counted before it is built."""

import time
from pathlib import Path

import pytest
import yaml

from deploy.runtime.text_files import UnreadableText
from pipeline.choice.params_file import switched
from pipeline.errors import SettingsError
from pipeline.profiles import load_profile
from pipeline.settings import load_params
from pipeline.strict_yaml import read_yaml
from pipeline.yaml_limits import DEEPEST, MOST_NODES, check_limits


def laughs(levels: int, form: str) -> str:
    """``levels`` times ten of what stands before."""
    lines = ["a0: &a0 " + ("{x: 1}" if form == "merge" else "ha")]
    for level in range(1, levels + 1):
        below = f"*a{level - 1}"
        value = {
            "list": f"[{', '.join([below] * 10)}]",
            "mapping": f"{{{', '.join(f'k{key}: {below}' for key in range(10))}}}",
            "merge": f"{{<<: [{', '.join([below] * 10)}], k{level}: 1}}",
        }[form]
        lines.append(f"a{level}: &a{level} {value}")
    return "\n".join(lines) + "\n"


TOO_MUCH = {
    **{f"laughs by {form}": laughs(9, form) for form in ("list", "mapping", "merge")},
    "many values": "[" + "1, " * (MOST_NODES + 1) + "1]",
    "deep lists": "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
    "deep mappings": "{a: " * 5000,
    "deep by indent": "\n".join(" " * level + "a:" for level in range(DEEPEST + 2)),
    "deep by aliases": "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [[*a{n - 1}]]\n" for n in range(1, DEEPEST)),
    "itself": "a: &a [*a]",
    "itself further down": "a: &a {b: {c: [*a]}}",
    "long": "# " + "x" * (1 << 18),
    "long text": "a: " + "x" * (1 << 18),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_what_is_too_large_is_refused_soon(kind: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableText, match=r"too large|too many"):
        read_yaml(TOO_MUCH[kind])
    assert time.monotonic() - began < 10
    path = tmp_path / "params.yaml"
    path.write_text(TOO_MUCH[kind])
    for read in (load_params, load_profile, lambda path: switched(path.read_text(), {}, str(path))):
        with pytest.raises(SettingsError, match=r"params\.yaml"):
            read(path)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        ("[" * DEEPEST + "]" * DEEPEST, None),
        (laughs(3, "list"), None),
        ("", None),
    ],
)
def test_aliases_and_depth_within_reason_are_read(text: str, content: object) -> None:
    check_limits(text)
    found = read_yaml(text)
    assert content is None or found == content


def test_the_line_is_named() -> None:
    with pytest.raises(yaml.YAMLError, match=r"(?s)aliases followed.*line 6"):
        check_limits(laughs(9, "list"))


def test_the_projects_own_settings_are_far_below() -> None:
    for path in (Path("params.yaml"), *Path("configs/profiles").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert len(text) < 20_000
        check_limits(text)
