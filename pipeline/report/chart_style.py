"""How charts look: colours that colour-blind readers can tell apart, light and dark, wide and narrow."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pipeline.report.collect import Results

# Okabe and Ito, "Color Universal Design" (2008), without the yellow that is unreadable as a thin line on white.
# The dark set keeps the hues and raises the lightness to a contrast of at least 4.5 : 1 on its background.
_LIGHT = ("#0072B2", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_DARK = ("#5AB4F0", "#2CC79A", "#E59CC4", "#FF8B45", "#9CD8FF")
_STUDENT_MARKS = ("o", "D", "^", "v", "P", "X")
_STUDENT_DASHES: tuple[tuple[float, ...], ...] = ((9, 1.5), (2.5, 1.2), (1.2, 1.0), (6, 1.5, 1.2, 1.5))
_MARKS = 7


@dataclass(frozen=True)
class Theme:
    """Colours of one appearance."""

    name: str
    text: str
    muted: str
    grid: str
    background: str
    teacher: str
    baseline: str
    students: tuple[str, ...]

    @property
    def variables(self) -> dict[str, str]:
        """The colours by the names that a page's style sheet knows them by."""
        single = {name: getattr(self, name) for name in ("text", "muted", "grid", "background", "teacher", "baseline")}
        numbered = {f"student-{number}": color for number, color in enumerate(self.students, start=1)}
        return {f"chart-{name}": color for name, color in (single | numbered).items()}


LIGHT = Theme("light", "#1c2127", "#5a6470", "#dfe3e8", "#ffffff", "#3d4650", "#E69F00", _LIGHT)
DARK = Theme("dark", "#e6e9ed", "#a2acb8", "#333b45", "#171b20", "#c3cad3", "#F2B233", _DARK)


@dataclass(frozen=True)
class Look:
    """One rendering of a chart: its theme and whether it is laid out for a phone."""

    theme: Theme
    narrow: bool = False

    @property
    def width(self) -> float:
        """Width in inches; text is sized in points, so that a narrow chart has the larger text on a phone."""
        return 4.6 if self.narrow else 9.2


@dataclass(frozen=True)
class Line:
    """How one model is drawn everywhere."""

    color: str
    dashes: tuple[float, tuple[float, ...]]
    marker: str

    turn: tuple[int, int]
    """The model's number from 0, and how many there are."""

    def plot_options(self) -> dict[str, Any]:
        return {"color": self.color, "linestyle": self.dashes}

    def curve_options(self, points: int) -> dict[str, Any]:
        """For a curve of so many points: with about seven marks, at others than the other models' marks."""
        number, count = self.turn
        step = max(1, round(points / _MARKS))
        marks = {"marker": self.marker, "markersize": 4.2, "markevery": (min(number * step // count, points - 1), step)}
        return self.plot_options() | marks


def lines(results: Results, theme: Theme) -> dict[str, Line]:
    """One colour, dash pattern and marker a model; colours repeat only with another dash pattern."""
    count = len(results.models)
    styles = {results.teacher.name: Line(theme.teacher, (0, (5, 2)), "s", (0, count))}
    if results.baseline:
        styles[results.baseline.name] = Line(theme.baseline, (0, ()), "h", (1, count))
    for index, student in enumerate(results.students):
        round_, position = divmod(index, len(theme.students))
        dashes = _STUDENT_DASHES[(position + round_) % len(_STUDENT_DASHES)]
        mark = _STUDENT_MARKS[index % len(_STUDENT_MARKS)]
        styles[student.name] = Line(theme.students[position], (0, dashes), mark, (len(styles), count))
    return styles


@contextmanager
def styled(look: Look) -> Iterator[None]:
    """Matplotlib's settings for the look, needed while drawing and while saving (ticks are made as late as that).

    Names from data are never read as formulas.
    """
    theme = look.theme
    with matplotlib.rc_context(
        {
            "font.size": 9.5,
            "text.parse_math": False,
            "text.color": theme.text,
            "axes.facecolor": "none",
            "axes.edgecolor": theme.muted,
            "axes.labelcolor": theme.text,
            "axes.titlesize": 9.5,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": theme.grid,
            "grid.linewidth": 0.7,
            "xtick.color": theme.muted,
            "ytick.color": theme.muted,
            "xtick.labelcolor": theme.muted,
            "ytick.labelcolor": theme.muted,
            "lines.linewidth": 1.5,
            "legend.handlelength": 3.2,
            "legend.frameon": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "report",
        }
    ):
        yield


def panels(look: Look, count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels of ``height`` inches, ``columns`` a row (fewer where the look is narrow)."""
    columns = min(count, max(1, columns // 2) if look.narrow else columns)
    rows = -(-count // columns)
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.05)
    figure = Figure(figsize=(look.width, rows * height), layout=layout, facecolor=look.theme.background)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid[:count]


def legend_below(figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    """One legend for all panels under them; a model that appears in any panel appears once."""
    handles = {label: handle for one in axes for handle, label in zip(*one.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(columns, len(handles)))


def page_colors() -> dict[str, str]:
    """What a page writes in place of each colour of the light theme, by its ``#rrggbb``: a variable of its own."""
    return {color.lower(): f"var(--{name})" for name, color in LIGHT.variables.items()}


def to_svg(figure: Figure, look: Look) -> str:
    """The figure as SVG on a transparent page, its text as text; equal figures give equal files."""
    stream = io.BytesIO()
    with styled(look):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return stream.getvalue().decode()


def to_png(figure: Figure, look: Look) -> bytes:
    """The figure as PNG at 150 dots an inch."""
    stream = io.BytesIO()
    with styled(look):
        figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()
