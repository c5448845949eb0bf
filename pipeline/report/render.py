"""The finished report: one Markdown page with its figures, one HTML page that needs nothing else."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pipeline.layout import CARDS, METRICS, REPORTS, SUMMARY
from pipeline.report import (
    accuracy_tables,
    artefacts,
    beside,
    charts,
    choices,
    error_tables,
    headline,
    latency_tables,
    methodology,
    operating_points,
    overview,
)
from pipeline.report.card_page import write_cards
from pipeline.report.chart_style import DARK, LIGHT, Look, page_colors, to_png, to_svg
from pipeline.report.collect import Results, collect
from pipeline.report.content_policy import content_policy
from pipeline.report.environment import page_environment
from pipeline.report.gallery import GalleryRow, gallery
from pipeline.report.inline_svg import inline_svg
from pipeline.report.marks import LABEL_HEIGHT, MARGIN, TEXT
from pipeline.report.metrics import metrics
from pipeline.report.names import data_title
from pipeline.report.outcome_drawing import COLORS, INK, draw, sheet, to_jpeg
from pipeline.report.plots import write_plots
from pipeline.report.shipping import shipping_sentences
from pipeline.report.tables import Table
from pipeline.settings import Params
from pipeline.storage import fresh_directory, write_atomic

DrawChart = Callable[[Results, Look], Figure]

_CHARTS: dict[str, DrawChart] = {
    "trade_off": charts.trade_off_chart,
    "batch": latency_tables.batch_chart,
    "precision_recall": charts.precision_recall_chart,
    "training": charts.training_chart,
}
_WIDE, _NARROW = Look(LIGHT), Look(LIGHT, narrow=True)


@dataclass(frozen=True)
class ChartImages:
    """One chart as SVG for the inside of a page, for wide and for narrow screens."""

    wide: str
    narrow: str


def write_report(params: Params, root: Path = Path(), code: str | None = None) -> str:
    """Read all records under ``root``; write pages, figures, cards, summary, metrics and plots below ``reports/``.

    Equal records give equal files: the report carries no time stamp, and the cards ``code``, which they were written
    by. Returned is its first sentence, what to ship.

    Raises:
        PipelineError: a record or the detections are missing, malformed or of another split.
        ImageError: an image of the gallery cannot be read.
    """
    results = collect(params, root)
    rows = gallery(results, root)
    context = report_context(results, rows)
    folder = root / REPORTS
    wide, narrow = (drawn_charts(results, look) for look in (_WIDE, _NARROW))
    with fresh_directory(folder / "figures") as figures:
        _write_figures(wide, rows, figures)
    write_atomic(folder / "report.md", render_markdown(context))
    write_atomic(folder / "report.html", render_html(context, chart_images(wide, narrow)))
    with fresh_directory(root / CARDS) as cards:
        write_cards(results, cards, code)
    write_atomic(root / METRICS, json.dumps(metrics(results), indent=1) + "\n")
    write_plots(results, root)
    first = str(context["headline"][0])
    write_atomic(root / SUMMARY, first.replace("\u00a0", " ") + "\n")
    return first


def report_context(results: Results, rows: tuple[GalleryRow, ...]) -> dict[str, Any]:
    """What both templates show."""
    return {
        "results": results,
        "data_title": data_title(results),
        "headline": [*shipping_sentences(results), *headline.headline(results)],
        "key_figures": headline.key_figures(results),
        "tables": _tables(results),
        "definitions": methodology.definitions(results),
        "has_training": any(model.training for model in results.models),
        "trade_off_alt": charts.trade_off_alt(results),
        "operating_note": operating_points.operating_note(results),
        "error_sentence": error_tables.error_sentence(results),
        "error_bars": error_tables.error_bars(results),
        "error_terms": error_tables.TERMS,
        "confusion_note": error_tables.confusion_note(results),
        "confused": error_tables.confused(results),
        "part_note": artefacts.part_note(results),
        "turns_note": beside.turns_note(results),
        "left_out_note": beside.left_out_note(results),
        "own_runs": latency_tables.own_runs(results),
        "weights_note": choices.weights_note(results),
        "precision_note": choices.precision_note(results),
        "split_note": choices.split_note(results),
        "batch_alt": latency_tables.batch_alt(results),
        "latency_notes": [latency_tables.noise_sentence(results), latency_tables.sweep_sentence(results)],
        "has_intervals": any(point.interval for point in charts.trade_off_points(results)),
        "gallery": rows,
        "colors": COLORS,
        "label": {"ink": INK, "height": LABEL_HEIGHT, "margin": MARGIN, "text": TEXT},
        "themes": {"light": LIGHT.variables, "dark": DARK.variables},
    }


def _tables(results: Results) -> dict[str, Table]:
    return {
        "overview": overview.overview_table(results),
        "ladder": artefacts.ladder_table(results),
        "not_run": artefacts.not_run_table(results),
        "precisions": artefacts.precision_table(results),
        "rungs": artefacts.rung_table(results),
        "turns": beside.turns_table(results),
        "absent": beside.absent_table(results),
        "unmeasured": latency_tables.unmeasured_table(results),
        "engines": artefacts.engine_table(results),
        "unbuilt": artefacts.unbuilt_table(results),
        "export": artefacts.export_table(results),
        "coco": accuracy_tables.coco_table(results),
        "classes": accuracy_tables.class_table(results),
        "operating": operating_points.operating_table(results),
        "class_scores": operating_points.class_score_table(results),
        "errors": error_tables.error_table(results),
        "error_counts": error_tables.count_table(results),
        "machine": methodology.machine_table(results),
        "splits": methodology.split_table(results),
        "class_splits": methodology.class_split_table(results),
        "budget": methodology.budget_table(results),
        "gates": methodology.gate_table(results),
        "identity": methodology.identity_table(results),
    }


def render_markdown(context: dict[str, Any]) -> str:
    """The report as Markdown; pictures are files under ``figures/`` beside it."""
    return page_environment().get_template("report.md.j2").render(context)


def render_html(context: dict[str, Any], images: dict[str, ChartImages]) -> str:
    """The report as one HTML page: charts are SVG in it, photos data URIs, one script; nothing is loaded."""
    script = files("pipeline.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    template = page_environment().get_template("report.html.j2")
    return template.render(context, charts=images, script=script, content_policy=content_policy)


def drawn_charts(results: Results, look: Look) -> dict[str, Figure]:
    """Every chart for one kind of screen."""
    return {name: draw_chart(results, look) for name, draw_chart in _CHARTS.items()}


def chart_images(wide: dict[str, Figure], narrow: dict[str, Figure]) -> dict[str, ChartImages]:
    """The charts for the inside of a page, in colours that are variables of the page."""
    return {
        name: ChartImages(
            inline_svg(to_svg(wide[name], _WIDE), f"w{number}-", page_colors()),
            inline_svg(to_svg(narrow[name], _NARROW), f"n{number}-", page_colors()),
        )
        for number, name in enumerate(wide)
    }


def _write_figures(drawn: dict[str, Figure], rows: tuple[GalleryRow, ...], folder: Path) -> None:
    for name, figure in drawn.items():
        (folder / f"{name}.png").write_bytes(to_png(figure, _WIDE))
    titles = [cell.column for cell in rows[0].cells]
    page = sheet([[draw(row.photo, cell.marks, len(titles)) for cell in row.cells] for row in rows], titles)
    (folder / "gallery.jpg").write_bytes(to_jpeg(page, with_lines=True))
