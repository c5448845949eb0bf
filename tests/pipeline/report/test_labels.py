import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.report.labels import place_labels


def _placed(points):
    figure = Figure(figsize=(8, 4))
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    place_labels(figure, axes, points, "black")
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    return axes, boxes


@pytest.mark.parametrize(
    "points",
    [
        [((5, 5), "OpenVINO bf16"), ((5.2, 5), "ONNX Runtime fp32"), ((5.4, 5), "PyTorch fp32")],
        [((0.05, 5), "at the left edge"), ((9.95, 5), "at the right edge"), ((5, 9.95), "at the top")],
        [((5, 5), "same"), ((5, 5), "place")],
    ],
)
def test_labels_cover_neither_each_other_nor_the_frame(points):
    axes, boxes = _placed(points)
    assert [text.get_text() for text in axes.texts] == [label for _, label in points]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_every_point_keeps_a_label_where_there_is_no_room():
    axes, _ = _placed([((5, 5), "a label")] * 25)
    assert len(axes.texts) == 25


def test_no_points():
    axes, _ = _placed([])
    assert not axes.texts
