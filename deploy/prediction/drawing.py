"""Draw detections on images."""

import colorsys
import math

import cv2

from deploy.runtime.detections import Detections
from deploy.runtime.images import Image

Color = tuple[int, int, int]

_GOLDEN_ANGLE = 0.618034
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_on(canvas: Image, detections: Detections) -> Image:
    """Draw on a BGR image itself, which may be a gigabyte, and return it."""
    # The mean side: by its long side alone, a panorama would get strokes as wide as it is high.
    unit = math.sqrt(canvas.shape[0] * canvas.shape[1]) / 800
    thickness = max(1, round(2 * unit))
    boxes, scores = detections.boxes.round().astype(int).tolist(), detections.scores.tolist()
    rows = list(zip(boxes, scores, detections.labels.tolist(), detections.names, strict=True))
    # The best score comes last, so that nothing covers it.
    for box, score, label, name in reversed(rows):
        color = class_color(label)
        cv2.rectangle(canvas, box[:2], box[2:], color, thickness)
        _draw_text(canvas, f"{name} {score:.2f}", box[0], box[1], max(0.35, 0.6 * unit), color)
    return canvas


def class_color(label: int) -> Color:
    """A bright BGR colour for a class; neighbouring labels get hues far apart (steps of the golden angle)."""
    red, green, blue = colorsys.hsv_to_rgb((0.05 + label * _GOLDEN_ANGLE) % 1.0, 0.85, 0.95)
    return round(255 * blue), round(255 * green), round(255 * red)


def _draw_text(canvas: Image, text: str, left: int, top: int, scale: float, color: Color) -> None:
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    bottom = max(top, height + below)
    left = max(0, min(left, canvas.shape[1] - width))
    cv2.rectangle(canvas, (left, bottom - height - below), (left + width, bottom), color, cv2.FILLED)
    text_color = (0, 0, 0) if sum(color) > 380 else (255, 255, 255)
    cv2.putText(canvas, text, (left, bottom - below // 2), _FONT, scale, text_color, 1, cv2.LINE_AA)
