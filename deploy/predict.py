"""Run an artefact on images: annotated pictures and COCO-style json.

python -m deploy.predict artefacts/student.onnx photo.jpg folder/ --out predictions
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
from tqdm import tqdm

from deploy.backends import BACKENDS
from deploy.detections import Detections
from deploy.drawing import draw
from deploy.errors import ArtefactError, BackendUnavailable, ImageError
from deploy.images import SUFFIXES, Image, read_image
from deploy.session import Detector, open_detector

DETECTIONS_FILE = "detections.json"
_JPEG_LIMIT = 65_000


@dataclass
class Summary:
    """What a run did. ``seconds`` is the whole run, ``detector_seconds`` the detector's share of it."""

    images: int = 0
    detections: int = 0
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0
    detector_seconds: float = 0.0


def find_images(sources: Iterable[Path], out: Path) -> list[Path]:
    """Files as they are named, folders searched in depth for image files, sorted; each file once.

    Earlier results, which may lie inside a searched folder as ``out``, are left out.

    Raises:
        ImageError: a folder holds no image file.
    """
    found: list[Path] = []
    for source in sources:
        if not source.is_dir():
            found.append(source)
            continue
        files = (path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        inside = sorted(path for path in files if out.resolve() not in path.resolve().parents)
        if not inside:
            raise ImageError(f"{source}: no image files in this folder (looked for {', '.join(sorted(SUFFIXES))})")
        found += inside
    return list(dict.fromkeys(found))


def predict(detector: Detector, paths: Sequence[Path], out: Path, score: float) -> Summary:
    """Write one annotated picture per image and ``detections.json`` into ``out``; files that cannot be read are named.

    ``detections.json`` is a COCO file (``images``, ``categories``, ``annotations`` with a ``score``); category ids
    count from 1 in the order of the artefact's classes. Detections below ``score`` are left out.
    """
    summary = Summary()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    category_ids = range(1, len(detector.spec.classes) + 1)
    names = _picture_names(paths)
    out.mkdir(parents=True, exist_ok=True)
    started = perf_counter()
    with tqdm(total=len(paths), unit="image", disable=None) as bar:
        for batch in _readable_batches(paths, detector.batch_size, summary, bar):
            detecting = perf_counter()
            results = detector([image for _, image in batch])
            summary.detector_seconds += perf_counter() - detecting
            for (path, image), found in zip(batch, results, strict=True):
                kept = found.above(score)
                images.append(_image_entry(len(images) + 1, path, image, names[path]))
                annotations += _annotations(kept, images[-1]["id"], category_ids, len(annotations))
                _write_picture(out / names[path], draw(image, kept))
            bar.update(len(batch))
    summary.images, summary.detections = len(images), len(annotations)
    summary.seconds = perf_counter() - started
    categories = [
        {"id": number, "name": name} for number, name in zip(category_ids, detector.spec.classes, strict=True)
    ]
    _write_json(out / DETECTIONS_FILE, {"images": images, "categories": categories, "annotations": annotations})
    return summary


def _readable_batches(
    paths: Iterable[Path], batch_size: int, summary: Summary, bar: Any
) -> Iterator[list[tuple[Path, Image]]]:
    batch: list[tuple[Path, Image]] = []
    for path in paths:
        try:
            batch.append((path, read_image(path)))
        except ImageError as error:
            summary.skipped.append(str(path))
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            bar.update()
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _picture_names(paths: Sequence[Path]) -> dict[Path, str]:
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        name, number = f"{path.stem}.jpg", 2
        while name in taken:
            name, number = f"{path.stem}_{number}.jpg", number + 1
        taken.add(name)
        names[path] = name
    return names


def _image_entry(number: int, path: Path, image: Image, picture: str) -> dict[str, Any]:
    height, width = image.shape[:2]
    return {"id": number, "file_name": path.as_posix(), "width": width, "height": height, "picture": picture}


def _annotations(found: Detections, image_id: int, category_ids: Sequence[int], first: int) -> list[dict[str, Any]]:
    return [
        {"id": number, **item, "area": item["bbox"][2] * item["bbox"][3], "iscrowd": 0}
        for number, item in enumerate(found.to_coco(image_id, category_ids), start=first + 1)
    ]


def _write_picture(path: Path, image: Image) -> None:
    if (longest := max(image.shape[:2])) > _JPEG_LIMIT:
        factor = _JPEG_LIMIT / longest
        shrunk = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    else:
        shrunk = image
    _, content = cv2.imencode(".jpg", shrunk, [cv2.IMWRITE_JPEG_QUALITY, 92])
    path.write_bytes(content.tobytes())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.predict",
        description="Run an artefact on images; writes annotated pictures and COCO-style json.",
        epilog="Exit status: 0 when every image was read, 1 when some were skipped or nothing could run.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="artefact, e.g. artefacts/student.onnx")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE|FOLDER", help="image files, or folders of them")
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="folder for the results (%(default)s)")
    parser.add_argument("--backend", help=f"one of {', '.join(BACKENDS)}; the first that runs here if left out")
    parser.add_argument("--score", type=_fraction, default=0.3, help="smallest score that is shown (%(default)s)")
    parser.add_argument("--threads", type=_natural, default=0, help="CPU threads; 0 is every core (%(default)s)")
    parser.add_argument("--batch", type=_positive, default=1, help="images per call of the backend (%(default)s)")
    return parser.parse_args(argv)


def _fraction(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _natural(text: str) -> int:
    if (value := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def main(argv: Sequence[str] | None = None) -> None:
    """See ``python -m deploy.predict --help``."""
    options = _parse(argv)
    # What OpenCV says about a damaged file is said once, with the file's name, by `predict`.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        paths = find_images(options.images, options.out)
        detector = open_detector(options.model, options.backend, options.threads, options.batch)
    except (ArtefactError, BackendUnavailable, ImageError) as error:
        sys.exit(f"error: {error}")
    if options.score < detector.spec.score_threshold:
        floor = detector.spec.score_threshold
        sys.stderr.write(f"note: this artefact gives no detection below {floor:g}\n")
    try:
        summary = predict(detector, paths, options.out, options.score)
    except OSError as error:
        sys.exit(f"error: {options.out}: the results cannot be written: {error}")
    backend = detector.backend
    sys.stdout.write(
        f"{summary.images} images, {summary.detections} detections, {len(summary.skipped)} skipped; "
        f"{summary.images / summary.seconds:.1f} images/s with reading and drawing, "
        f"{summary.images / max(summary.detector_seconds, 1e-9):.1f} in the detector "
        f"({backend.name} {backend.version}, {backend.device}, {backend.precision}, {backend.threads} threads); "
        f"results in {options.out}\n"
    )
    if summary.skipped:
        sys.exit("error: could not read " + ", ".join(summary.skipped))


if __name__ == "__main__":
    main()
