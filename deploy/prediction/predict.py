"""Run an artefact on images and videos: annotated copies and COCO-style json.

python -m deploy.predict artefacts/student.onnx photo.jpg clip.mp4 folder/ --out predictions
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import cv2

from deploy.prediction.prediction import Summary, predict
from deploy.runtime.arguments import Parser, fraction, natural, positive
from deploy.runtime.backends import BACKENDS
from deploy.runtime.commands import command, system_error
from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.errors import ArtefactError, BackendUnavailable, ImageError
from deploy.runtime.file_lock import Locked
from deploy.runtime.printable import in_one_line, visible
from deploy.runtime.sources import find_sources

_SCORE = 0.3


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m deploy.predict",
        description="Run an artefact on images and videos; writes annotated copies and COCO-style json.",
        epilog="Exit status: 0 when everything was read, 1 when a file was skipped, in part or whole, the run was "
        "interrupted, or nothing could run.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="artefact, e.g. artefacts/student.onnx")
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="IMAGE|VIDEO|FOLDER", help="image and video files, or folders of them"
    )
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="folder for the results (%(default)s)")
    parser.add_argument("--backend", help=f"one of {', '.join(BACKENDS)}; the first that runs here if left out")
    shown = f"smallest score that is shown (the one that the artefact recommends, or {_SCORE})"
    parser.add_argument("--score", type=fraction, help=shown)
    parser.add_argument("--threads", type=natural, default=0, help="CPU threads; 0 is every core (%(default)s)")
    parser.add_argument("--batch", type=positive, default=1, help="images per call of the backend (%(default)s)")
    parser.add_argument("--every", type=positive, default=1, help="of a video take every Nth frame (%(default)s)")
    parser.add_argument(
        "--no-verify", dest="verify", action="store_false", help="open an artefact that you changed since its export"
    )
    return parser.parse_intermixed_args(argv)


@command(ArtefactError, BackendUnavailable, ImageError)
def main(argv: Sequence[str] | None = None) -> None:
    """See ``python -m deploy.predict --help``."""
    options = _parse(argv)
    _quieten_opencv()
    sources = find_sources(options.sources, options.out)
    detector = open_detector(options.model, options.backend, options.threads, options.batch, options.verify)
    score = options.score if options.score is not None else detector.spec.recommended_score
    score = _SCORE if score is None else score
    if score < detector.spec.score_threshold:
        floor = detector.spec.score_threshold
        sys.stderr.write(f"note: this artefact gives no detection below {floor:g}\n")
    try:
        with detector:
            summary = predict(detector, sources, options.out, score, options.every)
    except Locked as owner:
        _stop(f"{options.out}: another run writes there (pid {owner}); wait for it, or choose another --out")
    except OSError as error:
        _stop(f"{options.out}: the results cannot be written: {system_error(error, options.out) or error}")
    sys.stdout.write(f"{_line(summary, detector)}; results in {in_one_line(str(options.out))}\n")
    if problems := _problems(summary):
        _stop(problems)


def _quieten_opencv() -> None:
    """What OpenCV and FFmpeg say about a damaged file is said once, with the file's name, by the run."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def _line(summary: Summary, detector: Detector) -> str:
    backend, pictures = detector.backend, summary.images + summary.frames
    videos = f", {summary.frames} frames of {summary.videos} videos" if summary.videos else ""
    return (
        f"{summary.images} images{videos}, {summary.detections} detections, {len(summary.skipped)} skipped; "
        f"{pictures / summary.seconds:.1f} images/s with reading and drawing, "
        f"{pictures / max(summary.detector_seconds, 1e-9):.1f} in the detector "
        f"({backend.name} {backend.version}, {backend.device}, {backend.precision}, {backend.threads} threads)"
    )


def _problems(summary: Summary) -> str:
    lists = {"could not read": summary.skipped, "read in part": summary.damaged}
    problems = [f"{what} {', '.join(map(in_one_line, names))}" for what, names in lists.items() if names]
    return "; ".join(["interrupted: the results so far are kept"] * summary.interrupted + problems)


def _stop(problem: str) -> NoReturn:
    sys.exit(f"error: {visible(problem)}")


if __name__ == "__main__":
    main()
