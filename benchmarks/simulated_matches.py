"""Data sets of detections drawn from a population: what COCO's matching would say of a test split, without pictures.

A population has classes of unequal frequency, pictures that are easy or hard for every model, and boxes that are. Two
models look at the same pictures; what is easy for one is mostly easy for the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.coco_matching import ClassMatches

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_IMAGE, _BOX, _MODEL = np.sqrt([0.25, 0.5, 0.25])  # how the variance of a box's ease divides


@dataclass(frozen=True)
class Population:
    """What test splits are drawn from.

    Attributes:
        name: as it is printed.
        classes: their number; class ``k`` is drawn in proportion to ``(k + 1) ** -skew``.
        skew: 0 is classes of equal frequency.
        boxes: mean number of boxes a picture, over all classes.
        clumps: shape of the gamma distribution of a class's rate in a picture; small means few pictures with many.
        false: mean number of false detections a picture, over all classes (equally often in every class).
        models: ease of the boxes for each model (logit of the mean IoU).
    """

    name: str
    classes: int
    skew: float
    boxes: float
    clumps: float
    false: float
    models: tuple[float, float]


def draw_split(population: Population, images: int, random: np.random.Generator) -> list[list[ClassMatches]]:
    """A test split of ``images`` pictures: its matches by class, for each of the population's models."""
    share = np.arange(1.0, population.classes + 1) ** -population.skew
    rate = population.boxes * share / share.sum()
    shape = (images, population.classes)
    counts = random.poisson(rate * random.gamma(population.clumps, 1 / population.clumps, shape))
    hardness = random.normal(size=images)
    offsets = np.random.default_rng(0).normal(0, 0.7, population.classes)
    models: list[list[ClassMatches]] = [[] for _ in population.models]
    for number in range(population.classes):
        image = np.repeat(np.arange(images), counts[:, number])
        shared = _IMAGE * hardness[image] + _BOX * random.normal(size=image.size)
        for model, matches in zip(population.models, models, strict=True):
            ease = shared + _MODEL * random.normal(size=image.size)
            false = random.poisson(population.false / population.classes * np.exp(0.5 * hardness - 0.125))
            matches.append(_class_matches(counts[:, number], image, ease, model + offsets[number], false, random))
    return models


def _class_matches(
    boxes: NDArray[np.int64],
    image: NDArray[np.int64],
    ease: NDArray[np.float64],
    level: float,
    false: NDArray[np.int64],
    random: np.random.Generator,
) -> ClassMatches:
    """One class of one model.

    Args:
        boxes: ``[I]``, boxes in each picture.
        image: ``[B]``, the picture of each box.
        ease: ``[B]``, standard normal.
        level: logit of the mean IoU.
        false: ``[I]``, false detections in each picture.
        random: draws scores.
    """
    iou = 1 / (1 + np.exp(-(level + ease)))
    elsewhere = np.repeat(np.arange(len(boxes)), false)
    logit = np.concatenate(
        [1.2 * ease + random.normal(0, 0.8, ease.size), -2.0 + random.normal(0, 1.0, elsewhere.size)]
    )
    score = 1 / (1 + np.exp(-logit))
    matched = np.zeros((len(IOU_THRESHOLDS), score.size), dtype=bool)
    matched[:, : ease.size] = iou >= IOU_THRESHOLDS[:, None]
    order = np.argsort(-score, kind="stable")
    return ClassMatches(
        image=np.concatenate([image, elsewhere])[order],
        score=score[order],
        matched=matched[:, order],
        ignored=np.zeros_like(matched),
        boxes=boxes,
    )
