"""The charts: mAP over latency, precision over recall, training curves."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.records import PrecisionRecallCurve
from pipeline.report import formats
from pipeline.report.beside import all_beside
from pipeline.report.chart_style import Line, Look, legend_below, lines, panels, styled
from pipeline.report.collect import Results
from pipeline.report.comparison import reference_batch
from pipeline.report.labels import place_labels
from pipeline.training_records import TrainingRecord

NOTICEABLE_GAIN = 0.5
"""Points of mAP."""
MOST_POINTS = 100
"""Of a curve: a point for every second pixel of a panel, and so few that noise leaves curves apart."""


@dataclass(frozen=True)
class TradeOffPoint:
    """One artefact under one backend: median latency in ms beside all others, mAP in points, its interval."""

    model: str
    backend: str
    latency: float
    ap: float
    interval: tuple[float, float] | None


def trade_off_points(results: Results) -> list[TradeOffPoint]:
    """Every artefact × backend that took turns and has a mAP."""
    points = []
    for found in all_beside(results):
        model, run = found.rung
        if run.accuracy and found.ap is not None:
            bootstrap = run.accuracy.bootstrap
            interval = (bootstrap.interval.low, bootstrap.interval.high) if bootstrap else None
            points.append(TradeOffPoint(model, found.title, found.turns.milliseconds, found.ap, interval))
    return points


def _measured_on(results: Results) -> str:
    split = f"{results.split_name} split"
    return f"{split}, {formats.count(results.artefact_images)} images" if results.are_artefacts_on_part else split


def front(points: list[TradeOffPoint]) -> list[TradeOffPoint]:
    """The points worth their time: from the fastest of a model up, those that gain more than half a point of mAP.

    Precisions of one model differ by hundredths of a point, which would put nearly all of them on an exact front.
    """
    best: dict[str, float] = {}
    kept = []
    for point in sorted(points, key=lambda point: (point.latency, -point.ap)):
        if point.ap > best.get(point.model, -math.inf) + NOTICEABLE_GAIN:
            best[point.model] = point.ap
            kept.append(point)
    return kept


def trade_off_chart(results: Results, look: Look) -> Figure:
    """mAP of the artefact over its latency: up and to the left is better; each model's front is labelled."""
    with styled(look):
        figure, (axes,) = panels(look, 1, 1, 4.6 if look.narrow else 4.4)
        points, styles = trade_off_points(results), lines(results, look.theme)
        best = front(points)
        for name, style in styles.items():
            own = [point for point in points if point.model == name]
            _scatter(axes, [point for point in own if point not in best], style, look, is_front=False)
            _scatter(axes, [point for point in own if point in best], style, look, is_front=True)
        if points:
            _latency_axis(axes, [point.latency for point in points])
        else:
            axes.text(0.5, 0.5, "no artefact was measured", ha="center", transform=axes.transAxes)
        axes.set_xlabel(
            f"latency of the artefact, all taking turns, ms (batch {reference_batch(results)}, logarithmic)"
        )
        axes.set_ylabel(f"mAP of the artefact, points ({_measured_on(results)})")
        axes.margins(x=0.18, y=0.14)
        legend_below(figure, [axes], 3 if look.narrow else 6)
        place_labels(figure, axes, [((point.latency, point.ap), point.backend) for point in best], look.theme.text)
    return figure


def _scatter(axes: Axes, points: list[TradeOffPoint], style: Line, look: Look, is_front: bool) -> None:
    if not points:
        return
    for point in points:
        if point.interval:
            axes.vlines(point.latency, *point.interval, color=style.color, alpha=0.35, linewidth=1.2)
    axes.scatter(
        [point.latency for point in points],
        [point.ap for point in points],
        s=64 if is_front else 30,
        alpha=None if is_front else 0.5,
        color=style.color,
        marker=style.marker,
        edgecolors=look.theme.background,
        linewidths=0.8,
        label=points[0].model if is_front else None,
        zorder=3,
    )


def _latency_axis(axes: Axes, latencies: list[float]) -> None:
    axes.set_xscale("log")
    low, high = math.log10(min(latencies)), math.log10(max(latencies))
    ticks = [
        digit * 10.0**power for power in range(math.floor(low) - 1, math.ceil(high) + 2) for digit in (1, 2, 3, 5, 7)
    ]
    axes.set_xticks(ticks)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    room = 0.25 * max(high - low, 0.3)
    axes.set_xlim(10 ** (low - room), 10 ** (high + room))


def precision_recall_chart(results: Results, look: Look) -> Figure:
    """One panel an IoU threshold: precision over recall, averaged over the classes."""
    thresholds = [curve.iou for curve in results.teacher.evaluation.accuracy.curves]
    with styled(look):
        figure, grid = panels(look, max(1, len(thresholds)), 3 if len(thresholds) > 2 else 2, 3.3)
        styles = lines(results, look.theme)
        for axes, iou in zip(grid, thresholds, strict=False):
            for model in results.models:
                curve = _curve(model.evaluation.accuracy.curves, iou)
                if curve:
                    axes.plot(
                        curve.recall,
                        curve.precision,
                        label=model.name,
                        **styles[model.name].curve_options(len(curve.recall)),
                    )
            axes.set_title("mean of IoU 0.50 to 0.95" if iou is None else f"IoU {iou:.2f}")
        for axes in grid:
            axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        legend_below(figure, grid, 3 if look.narrow else 6)
    return figure


def _curve(curves: list[PrecisionRecallCurve], iou: float | None) -> PrecisionRecallCurve | None:
    return next((curve for curve in curves if curve.iou == iou), None)


def loss_terms(records: list[TrainingRecord]) -> list[str]:
    """Names of all loss terms in the order of their first appearance; the sum (``loss``) first."""
    names = dict.fromkeys(name for record in records for point in record.points for name in point.losses)
    return sorted(names, key=lambda name: name != "loss")


def training_chart(results: Results, look: Look) -> Figure:
    """AP on the val split and every loss term over the iterations; the kept checkpoint is marked."""
    records = {model.name: model.training for model in results.models if model.training}
    terms = loss_terms(list(records.values()))
    with styled(look):
        count = 1 + len(terms)
        # A narrow look halves the columns; a wide one takes three or four, whichever leaves fewer panels alone.
        columns = 4 if look.narrow or count % 4 in (0, 3) else 3
        figure, grid = panels(look, count, columns, 2.3)
        styles = lines(results, look.theme)
        grid[0].set_ylabel("AP, points")
        _panel(grid[0], "val split", records, styles, _validation)
        for name, record in records.items():
            if record.best_val_ap is not None:
                _ring(grid[0], record.best_iteration, record.best_val_ap, styles[name].color)
        for axes, term in zip(grid[1:], terms, strict=True):
            axes.set_ylabel("loss")
            _panel(axes, "sum of losses" if term == "loss" else term, records, styles, _loss(term))
        for axes in grid:
            axes.set_xlabel("iteration")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
            axes.set_ylim(bottom=0)
        legend_below(figure, grid, 3 if look.narrow else 6)
    return figure


def _ring(axes: Axes, x: float, y: float, color: str) -> None:
    axes.plot(x, y, "o", color=color, markersize=9, markerfacecolor="none", markeredgewidth=1.5, clip_on=False)


def _thousands(value: float, _: object = None) -> str:
    """``500``, ``7.5k``, ``90k``: in a narrow panel whole numbers would run into each other."""
    return f"{value:.0f}" if abs(value) < 10_000 else f"{value / 1000:g}k"


def _panel(
    axes: Axes,
    title: str,
    records: dict[str, TrainingRecord],
    styles: dict[str, Line],
    read: Callable[[TrainingRecord], Iterator[tuple[int, float | None]]],
) -> None:
    axes.set_title(title)
    for name, record in records.items():
        pairs = [(x, y) for x, y in read(record) if y is not None and math.isfinite(y)]
        if pairs:
            x, y = zip(*averaged(pairs), strict=True)
            axes.plot(x, y, label=name, **styles[name].curve_options(len(x)))


def averaged(points: list[tuple[int, float]], most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """At most so many points of a curve, ``(x, y)`` by rising x: means of equal shares of them, which are smoother too.

    A long training logs tens of thousands, drawn in every look for each term and model: 18 MB of a report.
    """
    size = -(-len(points) // most)
    shares = [points[first : first + size] for first in range(0, len(points), size)] if size > 1 else []
    return [(share[-1][0], fmean(value for _, value in share)) for share in shares] or points


def _validation(record: TrainingRecord) -> Iterator[tuple[int, float | None]]:
    return ((point.iteration, point.ap) for point in record.validation)


def _loss(term: str) -> Callable[[TrainingRecord], Iterator[tuple[int, float | None]]]:
    return lambda record: ((point.iteration, point.losses.get(term)) for point in record.points)


def trade_off_alt(results: Results) -> str:
    """The labelled points of the trade-off chart in words; the ladder has them all."""
    described = [
        f"{point.model} under {point.backend}: {formats.points(point.ap)} mAP at "
        f"{formats.milliseconds(point.latency)} ms"
        for point in front(trade_off_points(results))
    ]
    return "mAP of the artefacts over latency. " + ("; ".join(described) or "No artefact was measured") + "."
