"""What suits a data set on this machine: from its pictures and boxes to a student, a teacher, a size and a budget.

Rules of thumb, each with its reason beside what it chose; all of them can be set by name.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.choice.recipes import Budget
from pipeline.datasets.json_files import read_json
from pipeline.errors import SettingsError
from pipeline.records import DatasetRecord

MODELS = ("n", "s", "m")
"""Sizes of the student, as others call theirs."""
_STUDENTS, _TEACHERS = Path("configs/students"), Path("configs/teachers")
_CANVASES = (256, 320, 416, 512, 640, 800)
_LARGEST = {"cpu": 512, "cuda": 800}
LEAST_SIDE = 16
"""Pixels, two cells of the finest level: smaller boxes are hardly found."""
_SMALL_SHARE = 0.1
_ITERATIONS = {"cpu": 1500, "cuda": 6000}
_EPOCHS = (12, 300)
_BATCH_SIZE = 8
_GATED_IMAGES = 400


@dataclass(frozen=True)
class DataFacts:
    """What of a data set decides.

    Attributes:
        images: number by split.
        classes: their names in order.
        boxes: number in train.
        box_shares: [boxes], the square root of each box's area over the longer side of its picture, train.
        longer_side: the median one of train, in pixels.
        unlabelled: number of pictures without boxes.
    """

    images: dict[str, int]
    classes: tuple[str, ...]
    boxes: int
    box_shares: NDArray[np.float64]
    longer_side: int
    unlabelled: int = 0


@dataclass(frozen=True)
class Suited:
    """What suits.

    Attributes:
        model: the student's size, or the name of a detector.
        recipes: its students.
        teacher: their teacher's configuration.
        size: height and width of the canvas in pixels; none is the recipes' own.
        budget, teacher_budget: of students and twins, and of the teacher.
        files: recipes that are to be written for it.
        said: of these files, for the user.
    """

    model: str
    recipes: list[Path]
    teacher: Path
    size: tuple[int, int] | None
    budget: Budget
    teacher_budget: Budget
    files: dict[Path, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def facts_of(record: DatasetRecord, folder: Path) -> DataFacts:
    """The facts of a prepared data set in ``folder``."""
    train = record.splits["train"]
    content = read_json(folder / train.annotations)
    sides = {image["id"]: max(image["width"], image["height"]) for image in content["images"]}
    shares = [
        math.sqrt(entry["bbox"][2] * entry["bbox"][3]) / sides[entry["image_id"]]
        for entry in content["annotations"]
        if not entry["iscrowd"]
    ]
    return DataFacts(
        images={name: split.images for name, split in record.splits.items()},
        classes=tuple(record.classes),
        boxes=train.boxes,
        box_shares=np.array(shares),
        longer_side=int(np.median([*sides.values()])),
        unlabelled=record.unlabelled.images if record.unlabelled else 0,
    )


def suited(facts: DataFacts, device: str, model: str | None = None) -> Suited:
    """What suits a data set, by one method.

    Args:
        facts: of the data set.
        device: ``cpu`` or ``cuda``: a CPU gets the smallest student and a teacher that it can train.
        model: ``n``, ``s`` or ``m``; None: by the device.

    Raises:
        SettingsError: there is no such size.
    """
    name = model or ("n" if device == "cpu" else "s")
    if name not in MODELS:
        raise SettingsError(f"MODEL={name}: no size ({', '.join(MODELS)}) and no file (a path, or ....py)")
    size = suited_size(facts, _LARGEST[device])
    budget = Budget(suited_epochs(facts.images["train"], _BATCH_SIZE, _ITERATIONS[device]), _BATCH_SIZE)
    return Suited(
        model=name,
        recipes=[_STUDENTS / f"crosskd_gfl_{name}_own.py"],
        teacher=_TEACHERS / ("gfl_mobilenetv2_own.py" if device == "cpu" else "gfl_r50_own.py"),
        size=(size, size),
        budget=budget,
        teacher_budget=budget,
    )


def suited_size(facts: DataFacts, largest: int) -> int:
    """The smallest canvas on which nine boxes of ten have a side of 16 px; no larger than pictures or ``largest``."""
    limit = min(largest, max(_CANVASES[0], 32 * math.ceil(facts.longer_side / 32)))
    sizes = [size for size in _CANVASES if size <= limit]
    seen = [size for size in sizes if small_side(facts, size) >= LEAST_SIDE]
    return seen[0] if seen else sizes[-1]


def times_wider(facts: DataFacts) -> float:
    """How much wider what an artefact may lose is to be for so few pictures to measure on; 1 from 400 on.

    A difference of AP scatters by the root of their number. On sixteen, bf16 seemed to lose a quarter of a point, and
    the gate for 400 ended the run.
    """
    return max(1.0, math.sqrt(_GATED_IMAGES / facts.images.get("test", facts.images["val"])))


def small_side(facts: DataFacts, size: int) -> float:
    """The side in pixels that a tenth of the boxes is under on a canvas of ``size``."""
    return float(np.quantile(facts.box_shares, _SMALL_SHARE)) * size if len(facts.box_shares) else 0.0


def suited_epochs(images: int, batch_size: int, iterations: int) -> int:
    """Passes over the images that come to about so many iterations, 12 to 300."""
    least, most = _EPOCHS
    return min(most, max(least, round(iterations / math.ceil(images / batch_size))))
