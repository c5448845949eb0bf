"""What a detector finds on every image of a split: the pass over the images that accuracy is computed from."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import Detections
from deploy.runtime.detector import Detector
from deploy.runtime.images import Image, read_image
from deploy.runtime.split import Split

# Decoded images that wait: one batch is run while the next is read.
_BATCHES_AHEAD = 2


def detect_split(
    detector: Detector, split: Split, image_root: Path, ids: Sequence[int], title: str, batch_size: int = 1
) -> DetectionColumns:
    """What is found on every image of a split, in its order, with a progress bar; the next images are read meanwhile.

    Args:
        image_root: the folder of the split's ``file_name`` entries.
        ids: category id of each of the detector's classes (:func:`deploy.runtime.detections.category_ids`).
        title: of the progress bar.
        batch_size: images of a call.

    Raises:
        ImageError: an image cannot be read.
    """
    files = [image_root / name for name in split.files]
    results: list[tuple[int, Detections]] = []
    with tqdm(total=len(files), desc=title, unit="image", mininterval=0.5, leave=None) as bar:
        entries = iter(split.images)
        for batch in _batches(read_ahead(files, _BATCHES_AHEAD * batch_size), batch_size):
            for entry, found in zip(islice(entries, len(batch)), detector.timed(batch)[0], strict=True):
                results.append((entry["id"], found))
            bar.update(len(batch))
    return DetectionColumns.joined(results, ids)


def read_ahead(files: Sequence[Path], ahead: int) -> Iterator[Image]:
    """Decoded images in the order of ``files``; a thread reads up to ``ahead`` of them before they are asked for.

    Raises:
        ImageError: where it is asked for an image that cannot be read.
    """
    remaining = iter(files)
    with ThreadPoolExecutor(1) as reader:
        waiting: deque[Future[Image]] = deque(reader.submit(read_image, file) for file in islice(remaining, ahead))
        try:
            while waiting:
                image = waiting.popleft().result()
                waiting.extend(reader.submit(read_image, file) for file in islice(remaining, 1))
                yield image
        finally:
            reader.shutdown(cancel_futures=True)


def _batches(images: Iterator[Image], size: int) -> Iterator[list[Image]]:
    while batch := list(islice(images, size)):
        yield batch
