import base64
import hashlib
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.report.collect import collect
from pipeline.report.gallery import gallery
from pipeline.report.names import data_title
from pipeline.report.render import ChartImages, render_html, render_markdown, report_context, write_report
from tests.pipeline.report.example_run import CROSSKD, GPU, TEACHER_MODEL, TWIN, example_params, write_run
from tests.pipeline.report.variants import chosen_anew, with_latency, without_turns

VOID = {"meta", "img", "source", "br", "hr", "link", "input"}

# Charts have tests of their own, and drawing them is what takes the time.
NO_CHARTS = dict.fromkeys(
    ("trade_off", "batch", "precision_recall", "training"), ChartImages("<svg></svg>", "<svg></svg>")
)


class Page(HTMLParser):
    """What a browser would make of the page; unbalanced tags are an error."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and data.strip():
            self.words.setdefault(self._open[-1], []).append(data.strip())

    def values(self, *attributes):
        return [value for _, found in self.elements for name, value in found.items() if name in attributes]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A written report whose classes are called as if to break out of the page."""
    root = tmp_path_factory.mktemp("hostile")
    params = example_params()
    write_run(root, params, classes=("<script>alert(1)</script>", "a|b", '"quoted" & more'), images=12)
    write_report(params, root)
    return root / "reports"


@pytest.fixture(scope="module")
def page(hostile):
    return Page((hostile / "report.html").read_text(encoding="utf-8"))


def test_the_page_needs_nothing_else(page, hostile):
    links = page.values("src", "srcset", "href", "poster", "data", "action")
    assert links
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    styles = "".join(page.words["style"])
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_policy_names_the_one_script_and_the_one_style_of_the_page(page, hostile):
    """A hash is of all that stands between the tags, to the byte."""
    content = (hostile / "report.html").read_text(encoding="utf-8")
    (policy,) = [found["content"] for _, found in page.elements if found.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for tag, rule in (("script", "script-src"), ("style", "style-src-elem")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        digest = hashlib.sha256(text.encode("utf-8")).digest()
        assert rules[rule] == f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
    assert {name: value for name, value in rules.items() if "sha256" not in value} == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert [found for tag, found in page.elements if tag in ("script", "style")] == [{}, {}]


def test_the_script_stays_small_and_makes_no_markup_of_texts(page):
    (script,) = page.words["script"]
    assert len(script.encode("utf-8")) < 10_000
    assert script.startswith("'use strict';")
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(|fetch|import", script
    )


def test_links_inside_the_page_lead_somewhere(page):
    targets = {found["href"][1:] for tag, found in page.elements if tag == "a"}
    assert targets == {"side-by-side", "trade-off", "images", "artefacts", "accuracy", "errors", "training", "method"}
    assert targets <= set(page.values("id"))


def test_structure(page):
    assert page.words["h1"] == ["Handwritten digits on aerial photographs"]
    assert page.words["h2"] == [
        "Side by side", "Accuracy and speed of the artefacts", "Test images", "Artefacts", "Accuracy in detail",
        "Where it errs", "Training", "How it was measured",
    ]  # fmt: skip
    assert [tag for tag, _ in page.elements].count(
        "table"
    ) == 24 + 2 + 3  # costs and counts of errors, a confusion matrix a model
    assert "composed data" in page.words["span"]
    described = [found for _, found in page.elements if found.get("role") == "img"]
    assert len(described) == 4 * 2 + 3 * 4  # charts × (wide, narrow), images × (ground truth, teacher, twin, crosskd)
    assert all(found["aria-label"] for found in described)
    names = [name for name, _ in page.elements]
    assert {"html", "head", "body", "header", "main", "nav"} <= set(names)
    assert ("html", {"lang": "en"}) in page.elements


def test_a_class_called_script_is_shown_and_not_run(page, hostile):
    assert "<script>alert(1)</script>" in page.words["th"]
    assert '"quoted" & more' in page.words["th"]
    content = (hostile / "report.html").read_text(encoding="utf-8")
    assert content.count("<script") == 1
    assert "&lt;script&gt;alert(1)" in content
    assert "<script" not in (hostile / "report.md").read_text(encoding="utf-8")


def test_every_photo_is_in_the_page_once_and_shown_in_every_column(page):
    photos = [link for link in page.values("href") if link.startswith("data:")]
    assert len(photos) == len(set(photos)) == 3
    for link in photos:
        image = Image.open(io.BytesIO(base64.b64decode(link.removeprefix("data:image/jpeg;base64,"))))
        assert image.size == (256, 256)
    shown = [link for link in page.values("href") if link.startswith("#photo-")]
    assert shown == [f"#photo-{number}" for number in (1, 2, 3) for _ in range(4)]
    assert [found["id"] for tag, found in page.elements if tag == "symbol"] == ["photo-1", "photo-2", "photo-3"]


def test_boxes_and_labels_are_what_the_gallery_says(page, results, run):
    """The page of the plain run: of every box two outlines, its words, and a label in the width that is its own."""
    rows = gallery(results, run)
    page = Page(render_html(report_context(results, rows), NO_CHARTS))
    marks = [mark for row in rows for cell in row.cells for mark in cell.marks]
    labels = [mark.label for mark in marks if mark.label]
    assert page.words["title"][1:] == [mark.title for mark in marks]
    assert page.words["text"] == [label.text for label in labels]
    assert [tag for tag, _ in page.elements].count("rect") == 2 * len(marks) + len(labels)
    widths = [float(found["textlength"]) for tag, found in page.elements if tag == "text"]
    assert widths == pytest.approx([label.width - 6 for label in labels], abs=0.06)


def test_identifiers_in_the_page_are_its_own_and_references_lead_somewhere(page):
    names = page.values("id")
    assert len(names) == len(set(names))
    assert {link[1:] for link in page.values("href") if link.startswith("#")} <= set(names)
    clips = [value.removeprefix("url(#").removesuffix(")") for value in page.values("clip-path")]
    assert clips
    assert set(clips) <= set(names)


def test_charts_take_their_colours_from_the_page(page):
    """Which sets each for light and for dark screens."""
    styles = "".join(page.words["style"])
    used = {name for value in page.values("style") for name in re.findall(r"var\((--chart-[a-z0-9-]+)\)", value)}
    assert {"--chart-text", "--chart-grid", "--chart-teacher", "--chart-baseline", "--chart-student-1"} <= used
    for name in used:
        assert len(re.findall(rf"{name}: #[0-9A-Fa-f]{{6}};", styles)) == 2
    assert not [value for value in page.values("style") if re.search(r"#[0-9a-f]{6}", value)]


def test_the_markdown_refers_to_its_figures(hostile):
    content = (hostile / "report.md").read_text(encoding="utf-8")
    figures = re.findall(r"!\[[^\]]*\]\((figures/[^)]+)\)", content)
    assert sorted(figures) == [
        "figures/batch.png", "figures/gallery.jpg", "figures/precision_recall.png", "figures/trade_off.png",
        "figures/training.png",
    ]  # fmt: skip
    for name in figures:
        assert Image.open(hostile / name).size[0] > 600
    assert sorted(path.name for path in (hostile / "figures").iterdir()) == sorted(name[8:] for name in figures)
    assert content.startswith("# Distillation report: Handwritten digits on aerial photographs (composed)\n")
    assert "| AP50 |" in content
    assert "\n\n\n" not in content
    tables = re.findall(r"(?:^\|.*\n)+", content, re.MULTILINE)
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_both_pages_say_the_same_headline(results, run, page, hostile):
    content = (hostile / "report.md").read_text(encoding="utf-8")
    (lead,) = (words for words in page.words["p"] if words.startswith("Ship artefacts/"))
    assert f"**{lead}**".replace("\u00a0", " ") in content


def test_times_of_own_runs_stand_in_the_tables_of_own_runs_alone(results, run):
    content = render_markdown(report_context(results, gallery(results, run)))
    before, own = content.split("### Each model’s own run")
    own, after = own.split("### How the precisions were made")
    for milliseconds in ("6.20", "4.34", "5.58", "6.30", "4.41", "5.67"):
        assert f"| {milliseconds} |" in own
        assert milliseconds not in before + after
    for milliseconds in ("6.82", "4.77", "6.14"):
        assert f"| {milliseconds} |" in before
    for model in ("teacher", "twin", "crosskd"):
        assert f"#### {model}\n" in own


def test_what_took_no_turns_and_what_a_gpu_used_are_on_both_pages(results, run):
    absent = without_turns(with_latency(results, "twin", gpu=GPU), "crosskd", "fp32@openvino", "out of memory")
    changed = chosen_anew(absent)
    context = report_context(changed, gallery(changed, run))
    page, content = Page(render_html(context, NO_CHARTS)), render_markdown(context)
    assert "out of memory" in page.words["td"]
    assert "| crosskd | OpenVINO fp32 | out of memory |" in content
    note = "Not shown: 1 that took no turns"
    assert any(note in words for words in page.words["figcaption"])
    assert note in content
    assert page.words["td"].count("0.052") == content.count("| 0.052 |") == 6
    assert "\n\n\n" not in content


def test_equal_records_give_equal_reports(results, run):
    rows = gallery(results, run)
    context = report_context(results, rows)
    again = report_context(collect(example_params(), run), gallery(results, run))
    assert render_markdown(context) == render_markdown(again)
    assert render_html(context, NO_CHARTS) == render_html(again, NO_CHARTS)


def test_without_a_baseline_and_without_artefacts_of_the_others(run):
    results = collect(example_params(["crosskd"], export={"models": ["crosskd"]}), run)
    unknown = results.teacher.evaluation.complexity.model_copy(update={"flops": None})
    teacher = replace(results.teacher, evaluation=results.teacher.evaluation.model_copy(update={"complexity": unknown}))
    results = replace(results, models=(teacher, *results.models[1:]))
    context = report_context(results, gallery(results, run))
    page = Page(render_html(context, NO_CHARTS))
    assert any("what distillation adds cannot be stated" in words for words in page.words["li"])
    assert "what distillation adds cannot be stated" in render_markdown(context)


def test_a_single_class_needs_no_names_and_real_data_no_badge(tmp_path):
    params = example_params(["twin", "crosskd"])
    write_run(tmp_path, params, (TEACHER_MODEL, TWIN, CROSSKD), images=6, classes=("Tree",))
    results = collect(params, tmp_path)
    real = results.dataset.model_copy(update={"composed": False})
    results = type(results)(**(vars(results) | {"dataset": real}))
    content = render_markdown(report_context(results, gallery(results, tmp_path)))
    assert "composed" not in content
    assert "1 class: Tree." in content


@pytest.mark.parametrize(
    ("title", "composed", "expected"),
    [
        ("Digits", True, "Digits (composed)"),
        ("Composed: digits", True, "Composed: digits"),
        ("Trees", False, "Trees"),
    ],
)
def test_composed_data_is_always_called_so(results, title, composed, expected):
    dataset = results.dataset.model_copy(update={"title": title, "composed": composed})
    assert data_title(type(results)(**(vars(results) | {"dataset": dataset}))) == expected


def test_a_failed_report_leaves_the_last_one_in_place(run, tmp_path):
    root = shutil.copytree(run, tmp_path / "run")
    (root / "reports" / "report.html").write_text("the last one", encoding="utf-8")
    (root / "reports" / "detections" / "twin.json").unlink()
    with pytest.raises(PipelineError, match=r"detections/twin.json"):
        write_report(example_params(), root)
    assert (root / "reports" / "report.html").read_text(encoding="utf-8") == "the last one"
