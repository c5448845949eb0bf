"""The report in a real browser: what a person presses, and what is then on the screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.report.environment import page_environment
from pipeline.report.render import write_report
from pipeline.report.tables import Column, Table, heading, number, row, text
from tests.pipeline.report.browser import PROGRAM, Page, browser
from tests.pipeline.report.example_run import CLASSES, example_params, write_run

pytestmark = pytest.mark.skipif(not PROGRAM, reason="no Chromium is installed (Debian: apt-get install chromium)")

AP = "AP of every class"
SCORES = "Precision, recall and F1 of every class"
HOSTILE = '<img src=x onerror="ran=1">'
SMALL_PAGE = """<!doctype html><meta charset="utf-8">{% from "table.html.j2" import table %}
{{ table(content, "Table") }}<script>{{ script | safe }}</script>"""
# Text that stands on the page, its colour's contrast (WCAG 2) with the nearest background that is painted behind it.
CONTRASTS = """
(() => {
  const channels = (color) => {
    const [r, g, b, alpha = 1] = color.match(/[\\d.]+/g).map(Number), most = color.startsWith('color') ? 255 : 1;
    return [r * most, g * most, b * most, alpha];
  };
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => linear(value / 255));
    return .05 + .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (element) => {
    const own = channels(getComputedStyle(element).backgroundColor), alpha = own[3];
    const below = alpha < 1 ? behind(element.parentElement) : own;
    return below.map((value, place) => alpha * own[place] + (1 - alpha) * value);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, words = walker.currentNode.data.trim();
    if (!words || !element.checkVisibility() || element.closest('.photo, script')) continue;
    const style = getComputedStyle(element);
    const pair = [light(channels(element.closest('svg') ? style.fill : style.color)), light(behind(element))];
    found.push([words, Math.max(...pair) / Math.min(...pair)]);
  }
  return found;
})()
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    write_run(root, example_params(), classes=(*CLASSES, HOSTILE), images=12)
    write_report(example_params(), root)
    return root / "reports" / "report.html"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium: Page, file: Path) -> Iterator[Page]:
    """The report, just opened; a test that makes it complain fails."""
    chromium.screen()
    chromium.open(file)
    yield chromium
    said, chromium.said = chromium.said, []
    assert said == []


def table(label: str) -> str:
    return f"document.querySelector('[aria-label=\"{label}\"] table')"


def column(page: Page, label: str, number: int) -> list[str]:
    """Texts of one column, from above, of the rows that are shown."""
    rows = f"[...{table(label)}.tBodies[0].rows].filter(row => !row.hidden)"
    return list(page.ask(f"{rows}.map(row => row.cells[{number}].textContent)"))


def small_page(content: Table, folder: Path) -> Path:
    """A page of one table as the report writes it, with the report's script."""
    script = Path("pipeline/report/templates/report.js").read_text(encoding="utf-8")
    page = page_environment().from_string(SMALL_PAGE).render(content=content, script=script)
    (folder / "page.html").write_text(page, encoding="utf-8")
    return folder / "page.html"


def unfold(page: Page, label: str) -> None:
    page.ask(f"{table(label)}.closest('details').open = true")


def focus(page: Page, element: str) -> None:
    page.ask(f"{element}.focus()")
    assert page.ask(f"document.activeElement === {element}")


def test_a_heading_sorts_by_value_and_the_third_press_restores(page: Page) -> None:
    unfold(page, AP)
    before = column(page, AP, 3)
    # Classes without boxes have no AP; the others are as many different numbers as the example has.
    numbers = sorted(float(text) for text in before if text != "–")
    gaps = ["–"] * (len(before) - len(numbers))
    head = f"{table(AP)}.tHead.rows[0].cells[3]"
    for press, order, expected in (
        (lambda: page.press("Enter"), "ascending", numbers),
        (lambda: page.press(" "), "descending", numbers[::-1]),
    ):
        focus(page, f"{head}.firstElementChild")
        press()
        assert page.ask(f"{head}.getAttribute('aria-sort')") == order
        assert column(page, AP, 3) == [*(f"{value:.1f}" for value in expected), *gaps]
    page.click(f"{head}.firstElementChild")
    assert page.ask(f"{head}.getAttribute('aria-sort')") is None
    assert column(page, AP, 3) == before
    page.click(f"{table(AP)}.tHead.rows[0].cells[0].firstElementChild")
    page.click(f"{table(AP)}.tHead.rows[0].cells[1].firstElementChild")
    assert page.ask(f"{table(AP)}.querySelectorAll('[aria-sort]').length") == 1


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (number("AP"), ["−0.4", "9.5", "87.0 ± 1.2", "1,797", "–"]),
        (number("time"), ["42 s", "6 min 12 s", "2 h 5 min", "not run"]),
        (number("error"), ["3.1e-06", "0.00421", "57.1\u00a0to\u00a059.4"]),
        (text("rung"), ["äpfel", "Batch 8", "batch 16", "zoo", "–"]),
    ],
)
def test_cells_are_ordered_by_what_they_mean(
    chromium: Page, tmp_path: Path, title: Column, expected: list[str]
) -> None:
    """What is missing, or no number among numbers, is last both ways."""
    mixed = expected[::2] + expected[1::2]
    chromium.open(small_page(Table((text("Row"), title), tuple(row("a", cell) for cell in mixed)), tmp_path))
    present = [cell for cell in expected if cell not in ("–", "not run")]
    for order in (expected, present[::-1] + expected[len(present) :], mixed):
        chromium.click("document.querySelectorAll('th button')[1]")
        assert column(chromium, "Table", 1) == order


def test_rows_stay_below_their_heading(chromium: Page, tmp_path: Path) -> None:
    """However they are sorted; and a heading is found by its words, counts as no row, and goes with its last one."""
    rows = [heading("batch 1"), *(row("twin", cell) for cell in "312"), heading("batch 8")]
    rows += [*(row("twin", cell) for cell in "978"), *(row("crosskd", cell) for cell in "04")]
    chromium.open(small_page(Table((text("Model"), number("ms")), tuple(rows)), tmp_path))
    unfold(chromium, "Table")
    rows_shown = f"[...{table('Table')}.tBodies[0].rows].filter(row => !row.hidden)"
    shown = f"{rows_shown}.map(row => [...row.cells].at(-1).innerText)"
    chromium.click("document.querySelectorAll('th button')[1]")
    assert chromium.ask(shown) == ["batch 1", "1", "2", "3", "batch 8", "0", "4", "7", "8", "9"]
    focus(chromium, "document.querySelector('input')")
    chromium.write("batch 8 CROSS, none")
    assert chromium.ask(shown) == ["batch 8", "0", "4"]
    assert chromium.ask("document.querySelector('output').textContent") == "2 of 8 rows"


def test_a_filter_leaves_the_rows_that_it_names_and_says_how_many(page: Page) -> None:
    unfold(page, SCORES)
    said = f"{table(SCORES)}.closest('details').querySelector('output')"
    box = f"document.querySelector('[aria-label=\"Filter: {SCORES}\"]')"
    focus(page, box)
    for wish, rows, left in (
        ("crosskd", 11, {"crosskd"}),
        ("3, TWIN 5", 4, {"teacher", "twin", "crosskd"}),
        ("no such class", 0, set()),
    ):
        page.write(wish)
        assert page.ask(f"{said}.textContent") == f"{rows} of 33 rows"
        assert len(column(page, SCORES, 0)) == rows
        assert set(column(page, SCORES, 1)) == left
    page.write(" ,")
    assert page.ask(f"{said}.textContent") == ""
    assert len(column(page, SCORES, 0)) == 33


def test_columns_are_chosen(page: Page) -> None:
    """The ladder's: its second is hidden by the keyboard alone, and shown again."""
    cell = f"{table('The ladder')}.rows[3].cells[1]"
    summary = f"{table('The ladder')}.closest('.fold').querySelector('.tools summary')"
    focus(page, summary)
    page.press("Enter", "Tab", " ")
    assert page.ask(f"[{cell}.checkVisibility(), {cell}.nextElementSibling.checkVisibility()]") == [False, True]
    page.press(" ")
    assert page.ask(f"{cell}.checkVisibility()")


def test_long_tables_are_folded_and_open_from_the_keyboard_and_for_print(page: Page) -> None:
    """The one to read first is not; nor is one whose rows are no list, which has no controls either."""
    summary = f"{table(AP)}.closest('details').firstElementChild"
    assert page.ask(f"{summary}.innerText") == f"{AP} 11 rows"
    row = f"{table(AP)}.rows[1]"
    assert page.ask(f"{table('The ladder')}.checkVisibility()")
    assert not page.ask(f"{row}.checkVisibility({{contentVisibilityAuto: true}})")
    focus(page, summary)
    page.press("Enter")
    assert page.ask(f"{row}.getBoundingClientRect().height > 10")
    page.press("Enter")
    assert page.ask("document.querySelectorAll('.fixed').length") == 1
    assert page.ask("document.querySelectorAll('.fixed button').length") == 0
    page.screen(media="print")
    shown = "[...document.querySelectorAll('%s')].filter(e => e.checkVisibility({contentVisibilityAuto: true})).length"
    assert page.ask(shown % "td") == page.ask("document.querySelectorAll('td').length")
    assert page.ask(shown % ".tools, nav") == 0
    page.screen()
    is_open = "[...document.querySelectorAll('.fold')].map(e => e.open)"
    before = page.ask(is_open)
    page.ask("dispatchEvent(new Event('beforeprint'))")
    assert page.ask("document.querySelectorAll('.fold:not([open])').length") == 0
    page.ask("dispatchEvent(new Event('afterprint'))")
    assert page.ask(is_open) == before


def test_a_picture_is_enlarged_and_left_by_keyboard_and_mouse(page: Page) -> None:
    openers = "document.querySelectorAll('.images .enlarge')"
    seen = "document.querySelector('dialog[open] .photo')?.getAttribute('aria-label')"
    labels = page.ask(f"[...{openers}].map(e => e.firstElementChild.getAttribute('aria-label'))")
    focus(page, f"{openers}[1]")
    page.press("Enter")
    assert page.ask(seen) == labels[1]
    assert page.ask("document.querySelector('dialog figcaption').textContent").startswith("teacher")
    big, small = page.ask("['dialog .photo', '.enlarge .photo'].map(s => document.querySelector(s).clientWidth)")
    assert big > 2 * small
    page.press("ArrowRight", "ArrowRight")
    assert page.ask(seen) == labels[3]
    page.press("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert page.ask(seen) == labels[-1]
    assert page.ask("document.querySelector('dialog .bar span').textContent") == f"{len(labels)} of {len(labels)}"
    page.press("Escape")
    assert page.ask(seen) is None
    page.until(f"document.activeElement === {openers}[{len(labels) - 1}]")
    page.click(f"{openers}[0]")
    assert page.ask(seen) == labels[0]
    page.click("document.querySelector('dialog button[aria-label=Close]')")
    assert page.ask(seen) is None
    assert page.ask("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == page.ask(
        "document.querySelectorAll('[id]').length"
    )


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_a_chart_is_enlarged_and_left_by_keyboard_and_mouse(page: Page, width: int, dark: bool) -> None:
    page.screen(width, dark=dark)
    openers = "document.querySelectorAll('figure > .enlarge:has(> .chart)')"
    labels = page.ask(f"[...{openers}].map(e => e.firstElementChild.getAttribute('aria-label'))")
    assert len(labels) == 4
    seen = "document.querySelector('dialog[open] .chart')?.getAttribute('aria-label')"
    small = page.ask(f"[...{openers}[0].children].find(e => e.checkVisibility()).clientWidth")
    focus(page, f"{openers}[0]")
    page.press("Enter")
    assert page.ask(seen) == labels[0]
    # On a phone it is the chart of wide screens, to be moved about in; its caption and the way out stay in sight.
    stage = "document.querySelector('dialog figure')"
    big, room, scrolled = page.ask(f"[{stage}.firstElementChild.clientWidth, {stage}.clientWidth, {stage}.scrollWidth]")
    assert big > 1.05 * small
    assert (big >= 700, scrolled > room) == (True, width == 390)
    page.ask(f"{stage}.scrollLeft = 200")
    edges = page.ask("""
        ['dialog figcaption', 'dialog [aria-label=Close]'].map(s => document.querySelector(s).getBoundingClientRect())
          .flatMap(box => [box.left, box.right])
    """)
    assert 0 <= min(edges) <= max(edges) <= width
    assert page.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    words = set(page.ask(f"[...{stage}.querySelectorAll('text')].map(e => e.textContent.trim())"))
    contrasts = [contrast for text, contrast in page.ask(CONTRASTS) if text in words]
    assert len(contrasts) >= len(words) > 5
    assert min(contrasts) >= 4.5
    # What the copy refers to is in it, and no name is there twice.
    assert page.ask("""
        [...document.querySelectorAll('dialog [href], dialog [clip-path]')]
          .map(e => (e.getAttribute('href') ?? e.getAttribute('clip-path')).match(/#([^)]+)/)[1])
          .every(id => document.querySelector('dialog').contains(document.getElementById(id)))
    """)
    assert page.ask("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == page.ask(
        "document.querySelectorAll('[id]').length"
    )
    page.press("ArrowRight")
    assert page.ask(seen) == labels[1]
    assert page.ask(f"{stage}.scrollLeft") == 0
    page.press("ArrowLeft", "ArrowLeft")
    assert page.ask("document.querySelector('dialog .bar span').textContent") == "4 of 4"
    page.press("Escape")
    assert page.ask(seen) is None
    page.until(f"document.activeElement === {openers}[3]")
    page.click(f"{openers}[2]")
    assert page.ask(seen) == labels[2]
    page.click("document.querySelector('dialog button[aria-label=Close]')")
    assert page.ask(seen) is None


def test_a_phone_scrolls_tables_and_never_the_page(page: Page) -> None:
    page.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    page.screen(390)
    assert page.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    box = f"{table('The ladder')}.parentElement"
    edge = f"{table('The ladder')}.rows[2].cells[0].getBoundingClientRect().x - {box}.getBoundingClientRect().x"
    page.ask(f"{box}.scrollLeft = 150")
    assert page.ask(f"{box}.scrollLeft") == 150
    assert page.ask(edge) == pytest.approx(0, abs=1)
    targets = page.ask("""
        [...document.querySelectorAll('button, summary, [type=search], .tools label, nav a')]
          .filter(e => e.checkVisibility()).map(e => [e.outerHTML, e.offsetWidth, e.offsetHeight])
    """)
    assert len(targets) > 100
    assert not [target for target in targets if min(target[1:]) < 24]


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(page: Page, dark: bool) -> None:
    page.ask("document.querySelectorAll('.fold').forEach(e => e.open = true)")
    page.screen(dark=dark)
    found = page.ask(CONTRASTS)
    assert len(found) > 500
    assert not [words for words, contrast in found if contrast < 4.5]


def test_no_name_and_no_other_script_does_anything(page: Page) -> None:
    """A class is called as if to run; and what a hole would let in is refused by the policy, which is seen here."""
    assert HOSTILE in column(page, AP, 0)
    assert page.said == []
    for hole in (f"innerHTML = {HOSTILE!r}", "setAttribute('onclick', 'ran = 1')"):
        with pytest.raises(AssertionError, match="This document requires 'Trusted"):
            page.ask(f"document.querySelector('h1').{hole}")
    page.ask("(e => { e.append('ran = 1'); document.body.append(e); })(document.createElement('script'))")
    page.ask("document.head.append(document.createElement('style'))")
    page.ask("document.querySelector('head > style + style').append('h1 { color: red }')")
    assert page.ask("typeof ran") == "undefined"
    assert page.ask("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 33, 39)"
    assert any("script" in text for text in page.said)
    assert any("style-src-elem" in text for text in page.said)
    page.said.clear()


def test_without_its_script_the_page_says_the_same(page: Page, file: Path) -> None:
    words = "[...document.querySelectorAll('th, td, figcaption')].map(e => e.textContent)"
    with_script = page.ask(words)
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(file)
    assert page.ask(words) == with_script
    assert page.ask("document.querySelectorAll('button, input, dialog').length") == 0
    page.click(f"{table(AP)}.closest('details').firstElementChild")
    assert page.ask(f"{table(AP)}.rows[1].getBoundingClientRect().height > 10")
    page.click("document.querySelectorAll('.images figure')[1]")
    assert page.ask("document.querySelectorAll('.images figure')[1].clientWidth > 900")
    page.call("Emulation.setScriptExecutionDisabled", value=False)
