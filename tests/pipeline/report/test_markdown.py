import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import markdown
from pipeline.report.tables import Table, heading, number, row, text


def test_a_table_with_alignment_headings_and_hostile_names():
    table = Table((text("Class"), number("AP")), (heading("Size | a"), row("<script>", "1.0"), row("a|b*c", "−2.0")))
    assert markdown.table(table).splitlines() == [
        "| Class | AP |",
        "| --- | ---: |",
        "| **Size \\| a** |  |",
        "| &lt;script&gt; | 1.0 |",
        "| a\\|b\\*c | −2.0 |",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("configs/students/twin_gfl_r18.py", "configs/students/twin_gfl_r18.py"),
        ("_emphasis_", "\\_emphasis\\_"),
        ("[a](http://b)", "\\[a\\](http://b)"),
        ("two\nlines\tand `code`", "two lines and \\`code\\`"),
        ("R&D", "R&amp;D"),
        ("- a - b", "\\- a - b"),
        ("2. a", "2\\. a"),
        ("---", "\\---"),
        ("-1.5", "-1.5"),
    ],
)
def test_escape(value, expected):
    assert markdown.escape(value) == expected


@given(st.text())
def test_no_text_opens_a_tag_a_cell_or_a_line(value):
    escaped = markdown.escape(value)
    assert not re.search(r"[<>\n\r]", escaped)
    assert not re.search(r"(?<!\\)(\\\\)*[|`*]", escaped.replace("\\|", "").replace("\\`", "").replace("\\*", ""))


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 cells in a table of 1 columns"):
        Table((text("a"),), (row("1", "2"),))
