"""Labels beside the points of a scatter chart, placed so that they cover neither each other nor the points."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

# Offsets from the point in typographic points with the text's own anchor: near places first.
_PLACES = (
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
    (8, 0, "left", "center"),
    (-8, 0, "right", "center"),
    *(
        (dx, dy, side, edge)
        for dy_size in (10, 22, 34)
        for dy, edge in ((dy_size, "bottom"), (-dy_size, "top"))
        for dx, side in ((6, "left"), (-6, "right"), (0, "center"))
    ),
)
_FAR = 12
_POINT_RADIUS = 5.0


def place_labels(
    figure: Figure, axes: Axes, points: Sequence[tuple[tuple[float, float], str]], color: str, size: float = 8
) -> None:
    """Annotate each ``((x, y), label)`` at the first place where it is free; at the last one tried where none is.

    Args:
        points: positions in data coordinates.
        color: of the text.
        size: of the text in typographic points.
    """
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    radius = _POINT_RADIUS * figure.dpi / 72
    taken = [_around(axes, position, radius) for position, _ in points]
    for position, label in points:
        taken.append(_place(renderer, axes, position, label, color, size, taken))


def _around(axes: Axes, position: tuple[float, float], radius: float) -> Bbox:
    x, y = axes.transData.transform(position)
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _place(
    renderer: RendererBase,
    axes: Axes,
    position: tuple[float, float],
    label: str,
    color: str,
    size: float,
    taken: Sequence[Bbox],
) -> Bbox:
    frame = axes.get_window_extent()
    for place in _PLACES:
        text = _annotate(axes, position, label, color, size, place)
        box = text.get_window_extent(renderer).padded(1.5)
        is_inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if is_inside and not any(box.overlaps(other) for other in taken):
            break
        if place != _PLACES[-1]:
            text.remove()
    return box


def _annotate(
    axes: Axes, position: tuple[float, float], label: str, color: str, size: float, place: tuple[int, int, str, str]
) -> Annotation:
    dx, dy, side, edge = place
    text = axes.annotate(
        label,
        position,
        xytext=(dx, dy),
        textcoords="offset points",
        ha=side,
        va=edge,
        fontsize=size,
        color=color,
        arrowprops={"arrowstyle": "-", "color": color, "alpha": 0.4, "lw": 0.6} if abs(dy) > _FAR else None,
    )
    text.set_in_layout(False)
    return text
