import pytest

from pipeline.datasets.findings import EXAMPLES, SHOWN, Findings, grouped, in_one_line, raise_errors
from pipeline.errors import DatasetError


def test_warnings_alone_stop_nothing_and_clear_an_old_list(tmp_path):
    old = tmp_path / "findings.txt"
    old.write_text("error of an earlier run")
    notes = Findings("a.json")
    notes.warning("image 1", "is blue")
    raise_errors(notes.found, old)
    assert not old.exists()


def test_a_name_as_long_as_its_file_does_not_fill_the_screen(tmp_path):
    notes = Findings("a.json")
    notes.error("image 1", "A" * 1_000_000)
    notes.warning("image 1", "A" * 1_000_000)
    with pytest.raises(DatasetError, match=r"image 1: A+\.\.\.") as caught:
        raise_errors(notes.found, tmp_path / "findings.txt")
    assert len(str(caught.value)) < 2000
    assert (tmp_path / "findings.txt").stat().st_size < 3000


def test_errors_are_shown_up_to_the_cap_and_all_findings_are_in_the_file(tmp_path):
    notes = Findings("a.json")
    notes.warning("image 0", "is blue")
    for number in range(SHOWN + 7):
        notes.error(f"image {number}", "is missing")
    path = tmp_path / "data" / "findings.txt"
    with pytest.raises(DatasetError) as caught:
        raise_errors(notes.found, path)
    message = str(caught.value)
    assert f"{SHOWN + 7} error(s)" in message
    shown = [line for line in message.splitlines() if "is missing" in line]
    assert shown == [
        *(f"  a.json: image {number}: is missing" for number in range(EXAMPLES)),
        f"  ... and {SHOWN + 7 - EXAMPLES} more of this kind: is missing",
    ]
    assert str(path) in message
    lines = path.read_text().splitlines()
    assert len(lines) == SHOWN + 8
    assert lines[0] == "warning: a.json: image 0: is blue"
    assert lines[-1] == f"error: a.json: image {SHOWN + 6}: is missing"


def shown_of(notes: Findings, tmp_path) -> list[str]:
    with pytest.raises(DatasetError) as caught:
        raise_errors(notes.found, tmp_path / "findings.txt")
    first, *shown, last = str(caught.value).splitlines()
    assert first == f"the data set has {len(notes.found)} error(s):"
    assert last.startswith(f"All {len(notes.found)} finding(s) are listed in {tmp_path}")
    assert all(line.startswith("  ") for line in shown)
    return [line.strip() for line in shown]


def test_few_errors_are_all_shown_in_their_order(tmp_path):
    notes = Findings("a.json")
    for number in range(SHOWN):
        notes.error(f"image {number}", "is {}" if number % 2 else "has {} eyes", number)
    shown = shown_of(notes, tmp_path)
    assert len(shown) == SHOWN
    assert shown[:2] == ["a.json: image 0: has 0 eyes", "a.json: image 1: is 1"]


@pytest.mark.parametrize(("kinds", "named"), [(2, 5), (8, 5), (9, 4), (16, 2), (25, 1)])
def test_of_many_errors_each_kind_is_shown_with_as_many_as_there_is_room_for(tmp_path, kinds, named):
    notes = Findings("a.json")
    for number in range(100 * kinds):
        notes.error(f"image {number}", f"is {{}} of {number % kinds}", number)
    shown = shown_of(notes, tmp_path)
    assert len(shown) == kinds * (named + 1) <= SHOWN
    assert shown[0] == "a.json: image 0: is 0 of 0"
    assert shown[named] == f"... and {100 - named} more of this kind: is … of 0"
    assert shown[-1] == f"... and {100 - named} more of this kind: is … of {kinds - 1}"


def test_more_kinds_than_lines_are_counted(tmp_path):
    notes = Findings("a.json")
    for number in range(2 * (SHOWN + 3)):
        notes.error("image 1", f"kind {number // 2}: {{}}", number)
    shown = shown_of(notes, tmp_path)
    assert len(shown) == SHOWN
    assert shown[0] == "2 x a.json: image 1: kind 0: 0"
    assert shown[-1] == "... and 4 more kinds"


def test_findings_are_grouped_by_severity_file_and_kind_with_the_first_few_of_each():
    notes, others = Findings("a.json"), Findings("b.json")
    for number in range(7):
        notes.warning(f"image {number}", "bbox {} is over the border of {!r}", [number, 2], "{}.jpg")
    notes.warning("image 9", "is blue")
    notes.error("image 9", "is blue")
    others.warning("image 9", "is blue")
    groups = grouped([*notes.found, *others.found])
    assert [(group.severity, group.file, group.kind, group.count) for group in groups] == [
        ("warning", "a.json", "bbox … is over the border of '…'", 7),
        ("warning", "a.json", "is blue", 1),
        ("error", "a.json", "is blue", 1),
        ("warning", "b.json", "is blue", 1),
    ]
    assert len(groups[0].examples) == EXAMPLES
    assert groups[0].examples[3] == "image 3: bbox [3, 2] is over the border of '{}.jpg'"


def test_a_group_is_one_line_with_its_count_an_example_and_where_the_others_are(tmp_path):
    notes = Findings("a.json")
    notes.warning("image 1", "is {}", "blue")
    assert in_one_line(grouped(notes.found)[0], tmp_path) == "warning: a.json: image 1: is blue"
    notes.warning("image 2", "is {}", "{green}")
    assert in_one_line(grouped(notes.found)[0], tmp_path / "f.txt") == (
        f"warning: a.json: 2 like this one, all in {tmp_path}/f.txt: image 1: is blue"
    )
    assert notes.found[1].message == "is {green}"


def test_braces_in_a_text_without_values_are_braces():
    notes = Findings("a.json")
    notes.warning("whole file", "no {} here")
    assert (notes.found[0].message, notes.found[0].kind) == ("no {} here", "no {} here")
