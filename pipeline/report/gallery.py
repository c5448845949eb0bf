"""The same images seen by everyone: ground truth, teacher, twin, students."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deploy.runtime.images import read_image
from pipeline.datasets.prepared import split_paths
from pipeline.evaluation.inputs import no_collection, read_ground_truth, read_results
from pipeline.layout import DATASET, report_file
from pipeline.report.collect import Results
from pipeline.report.marks import Mark, marks
from pipeline.report.outcome_drawing import photo
from pipeline.report.outcomes import DrawnBox, Outcome, choose_images, judge, truth_boxes

GROUND_TRUTH = "ground truth"


@dataclass(frozen=True)
class Cell:
    """What one column says of an image; ``summary`` counts what is drawn."""

    column: str
    summary: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class GalleryRow:
    """One image in every column: the photo once, and what each draws onto it."""

    file: str
    photo: Image.Image
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
    with no_collection():
        outcomes = {
            name: judge(ground_truth, read_results(path), settings.score_threshold, str(path))
            for name, path in files.items()
        }
    with_names = len(results.dataset.classes) > 1
    rows = []
    for image in choose_images(ground_truth, [found.f1 for found in outcomes.values()], settings.images):
        file = ground_truth.images[image]["file_name"]
        pixels = read_image(folder / file)
        size = (pixels.shape[1], pixels.shape[0])
        truth = truth_boxes(ground_truth, image)
        shown: list[tuple[str, str, Sequence[DrawnBox]]] = [(GROUND_TRUTH, _counted(len(truth), "box"), truth)]
        shown += [(name, _summary(found[image]), found[image].boxes) for name, found in outcomes.items()]
        cells = [
            Cell(column, summary, tuple(marks(boxes, size, len(shown), with_names=with_names)))
            for column, summary, boxes in shown
        ]
        rows.append(GalleryRow(file, photo(pixels), tuple(cells)))
    return tuple(rows)


def _summary(outcome: Outcome) -> str:
    return f"{outcome.count('right')} right, {outcome.count('wrong')} wrong, {outcome.count('missed')} missed"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}es"
