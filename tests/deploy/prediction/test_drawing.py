import numpy as np
import pytest

from deploy.prediction.drawing import class_color, draw_on
from deploy.runtime.detections import Detections


def one(box: tuple[float, float, float, float]) -> Detections:
    return Detections(np.array([box], np.float32), np.array([0.9], np.float32), np.array([1]), ("crown", "blob"))


def test_box_is_drawn_in_the_colour_of_its_class() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    picture = draw_on(image, one((50, 80, 150, 160)))
    assert picture is image
    for x, y in ((50, 120), (150, 120), (100, 160)):
        assert tuple(picture[y, x]) == class_color(1)
    assert not picture[90:150, 60:140].any()
    assert picture[80:81, 50:60].any()


@pytest.mark.parametrize("shape", [(1, 1), (10, 3000), (2000, 20)])
def test_boxes_at_the_border_of_any_image_can_be_drawn(shape: tuple[int, int]) -> None:
    picture = draw_on(np.zeros((*shape, 3), np.uint8), one((0, 0, shape[1], shape[0])))
    assert picture.shape == (*shape, 3)
    assert picture.any()


def test_strokes_of_a_panorama_leave_something_to_see() -> None:
    picture = draw_on(np.zeros((600, 9600, 3), np.uint8), one((3000, 100, 6000, 500)))
    assert 2 <= picture[300, 2900:3100].any(axis=-1).sum() <= 9


def test_eighty_classes_have_eighty_colours() -> None:
    assert len({class_color(label) for label in range(80)}) == 80
