import pytest

from pipeline.report.lettering import letters, text_width


@pytest.mark.parametrize(
    ("name", "shown"),
    [("traffic light", "traffic light"), ("a\nb\x1b[31m", "a b [31m"), ("\u202e", ""), ("犬 ", "犬")],
)
def test_a_name_is_one_line_of_what_can_be_seen(name, shown):
    assert letters(name) == shown


def test_text_is_as_wide_as_its_letters():
    assert text_width("", 11) == 0
    assert text_width("0000", 22) == pytest.approx(4 * text_width("0", 22), rel=0.02)
    assert text_width("00", 22) == pytest.approx(2 * text_width("00", 11), rel=0.1)
