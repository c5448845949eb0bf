"""The same test images seen by everyone: ground truth, teacher, twin, students."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deploy.runtime.images import read_image
from pipeline.datasets.prepared import split_paths
from pipeline.evaluation.inputs import read_ground_truth, read_results
from pipeline.layout import DATASET, report_file
from pipeline.report.collect import Results
from pipeline.report.outcome_drawing import draw
from pipeline.report.outcomes import Outcome, choose_images, judge, truth_boxes

GROUND_TRUTH = "ground truth"


@dataclass(frozen=True)
class Cell:
    """One image as one column shows it; ``summary`` counts what is drawn."""

    column: str
    summary: str
    picture: Image.Image


@dataclass(frozen=True)
class GalleryRow:
    """One image in every column."""

    file: str
    cells: tuple[Cell, ...]


def gallery(results: Results, root: Path = Path()) -> tuple[GalleryRow, ...]:
    """Draw ``report.images`` images of the evaluated split, from easy to hard.

    Raises:
        PipelineError: detections are missing or do not fit the split.
        ImageError: an image cannot be read.
    """
    annotations, folder = split_paths(root / DATASET, results.split)
    ground_truth = read_ground_truth(annotations)
    settings = results.params.report
    files = {model.name: root / report_file("detections", model.name) for model in results.models}
    outcomes = {
        name: judge(ground_truth, read_results(path), settings.score_threshold, str(path))
        for name, path in files.items()
    }
    with_names = len(results.dataset.classes) > 1
    rows = []
    for image in choose_images(ground_truth, list(outcomes.values()), settings.images):
        file = ground_truth.imgs[image]["file_name"]
        pixels = read_image(folder / file)
        truth = truth_boxes(ground_truth, image)
        cells = [Cell(GROUND_TRUTH, _counted(len(truth), "box"), draw(pixels, truth, with_names=with_names))]
        for name, outcome in outcomes.items():
            picture = draw(pixels, outcome[image].boxes, with_names=with_names, text_for=truth)
            cells.append(Cell(name, _summary(outcome[image]), picture))
        rows.append(GalleryRow(file, tuple(cells)))
    return tuple(rows)


def _summary(outcome: Outcome) -> str:
    return f"{outcome.count('right')} right, {outcome.count('wrong')} wrong, {outcome.count('missed')} missed"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}es"
