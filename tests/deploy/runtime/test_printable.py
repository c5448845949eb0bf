"""Names and messages from outside, as they reach a terminal."""

import logging
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.arguments import Parser, positive
from deploy.runtime.printable import VisibleFormatter, in_one_line, visible

ACTING = {
    0x7F,
    0x061C,
    0x200E,
    0x200F,
    *range(0x20),
    *range(0x80, 0xA0),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
}


def test_every_character_that_acts_is_an_escape_and_no_other() -> None:
    changed = {code for code in range(0x110000) if visible(chr(code)) != chr(code)}
    assert changed == ACTING - {0x09, 0x0A} | set(range(0xD800, 0xE000))
    # Nothing that Unicode calls a control character, a separator of lines or a control of direction is left.
    bidirectional = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    assert {
        code
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Zl", "Zp", "Cs")
        or unicodedata.bidirectional(chr(code)) in bidirectional
    } - changed == {0x09, 0x0A}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("done\rerror", r"done\rerror".replace(r"\r", r"\x0d")),
        ("\x9b2J", r"\x9b2J"),
        ("gnp.\u202egpj", r"gnp.\u202egpj"),
        ("\udcff.png", r"\xff.png"),
        ("Bildschirmfoto 10.32.11\u202fPM \u00a0 \u6a39 \U0001f9d1\u200d\U0001f680", None),
        ("first\n  second\tthird", None),
    ],
)
def test_escapes_are_readable_and_what_is_harmless_stays(text: str, shown: str | None) -> None:
    assert visible(text) == (text if shown is None else shown)
    assert "\n" not in in_one_line(text)


@given(st.text())
def test_what_is_visible_can_be_written_and_stays_as_it_is(text: str) -> None:
    once = visible(text)
    once.encode()
    assert visible(once) == once
    assert in_one_line(text) == in_one_line(in_one_line(text))


def test_a_log_shows_arguments_and_tracebacks_made_visible() -> None:
    formatter = VisibleFormatter("%(message)s")
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "%s\n%s", ("a\x1bb", "c"), sys.exc_info())
    shown = formatter.format(record)
    assert shown.startswith("a\\x1bb\nc\nTraceback")
    assert shown.endswith(r"ValueError: \x1b[2J")


@pytest.mark.parametrize("argv", [["--number", "1\x1b[2J"], ["\x1b]0;x\x07"], ["--\x1b[31m"]])
def test_a_command_line_shows_its_arguments_made_visible(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="x")
    parser.add_argument("--number", type=positive)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(argv)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert r"\x1b" in said
    assert "\x1b" not in said


PROGRAM = r"""
import logging
from pipeline.cli import stage_main
from pipeline.errors import PipelineError

@stage_main
def main(argv=None):
    logging.getLogger("pipeline.data").warning("%s: taken", "a\x1b[31m.png")
    logging.getLogger("third.party").error("of a library: \x9b2J \u202e")
    raise {error}("weights\x1b[2J.pth: no such file\n  second line")

main()
"""


@pytest.mark.parametrize("error", ["PipelineError", "ZeroDivisionError"])
def test_a_stage_ends_without_an_escape_sequence(error: str) -> None:
    program = PROGRAM.replace("{error}", error)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert not {character for character in said if ord(character) in ACTING - {0x0A}}
    assert r"a\x1b[31m.png: taken" in said
    assert r"of a library: \x9b2J \u202e" in said
    assert "weights\\x1b[2J.pth: no such file\n  second line" in said
    assert ("Traceback" in said) == (error == "ZeroDivisionError")
