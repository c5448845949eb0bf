"""A detector run over files: annotated copies and one COCO-style json, whatever the files are."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from tqdm import tqdm

from deploy.prediction.drawing import draw_on
from deploy.prediction.results import CocoFile, write_picture
from deploy.prediction.video import VideoReader, VideoWriter
from deploy.runtime.detections import Detections
from deploy.runtime.detector import Detector
from deploy.runtime.errors import ImageError, VideoError
from deploy.runtime.file_lock import FileLock
from deploy.runtime.images import Image, read_image
from deploy.runtime.printable import in_one_line
from deploy.runtime.scratch import scratch_folder
from deploy.runtime.sources import is_video, result_names

DETECTIONS_FILE = "detections.json"

Item = TypeVar("Item")


@dataclass
class Summary:
    """What a run did. ``seconds`` is the whole run, ``detector_seconds`` the detector's share of it.

    ``skipped`` names files of which nothing could be read, ``damaged`` videos that were read in part. A run that was
    ``interrupted`` (Ctrl-C) has kept what it had.
    """

    images: int = 0
    videos: int = 0
    frames: int = 0
    detections: int = 0
    skipped: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0
    detector_seconds: float = 0.0


def predict(detector: Detector, sources: Sequence[Path], out: Path, score: float, every: int = 1) -> Summary:
    """Write an annotated copy of each source and ``detections.json`` into ``out``; what cannot be read is named.

    ``detections.json`` is a COCO file (:class:`deploy.prediction.results.CocoFile`); detections below ``score`` are
    left out. An entry of ``images`` names its file and ``picture``, its annotated copy. A frame is an entry too: with
    ``video_id``, ``frame`` (its number in the video, from 0) and ``timestamp`` (seconds) in the place of ``picture``;
    ``videos`` has the file, its ``picture``, ``frame_rate``, the number of ``frames`` that were read, and ``damage``
    (text) where the file has any.

    Args:
        every: 1 runs on every frame of a video, N on the frames 0, N, 2N, ...; the annotated video holds those.

    Raises:
        OSError: a result cannot be written.
        Locked: another run writes into ``out``.
    """
    names = result_names(sources, out)
    out.mkdir(parents=True, exist_ok=True)
    started = perf_counter()
    with (
        FileLock(out / ".predict.lock"),
        scratch_folder("predict", out) as parts,
        CocoFile(out / DETECTIONS_FILE, detector.spec.classes, parts) as results,
    ):
        run = _Run(detector, out, names, score, results, parts)
        try:
            if images := [path for path in sources if not is_video(path)]:
                run.predict_images(images)
            for path in sources:
                if is_video(path):
                    run.predict_video(path, every)
        except KeyboardInterrupt:
            run.summary.interrupted = True
    summary = run.summary
    summary.detections, summary.seconds = results.annotations, perf_counter() - started
    return summary


class _Run:
    def __init__(
        self,
        detector: Detector,
        out: Path,
        names: dict[Path, str],
        score: float,
        results: CocoFile,
        parts: Path,
    ) -> None:
        self.summary = Summary()
        self._detector = detector
        self._out = out
        self._names = names
        self._score = score
        self._results = results
        self._parts = parts

    def predict_images(self, paths: Sequence[Path]) -> None:
        with tqdm(total=len(paths), unit="image", disable=None) as bar:
            for batch in _batches(self._readable(paths, bar), self._detector.batch_size):
                for (path, image), found in zip(batch, self._detect([image for _, image in batch]), strict=True):
                    picture = self._names[path]
                    self._results.add_image(image, found, file_name=path.as_posix(), picture=picture)
                    write_picture(self._out / picture, draw_on(image, found), self._parts)
                    self.summary.images += 1
                bar.update(len(batch))

    def predict_video(self, path: Path, every: int) -> None:
        try:
            with VideoReader(path, every) as video:
                damage = self._predict_frames(video)
        except VideoError as error:
            self._skip(path, error)
            return
        if damage:
            self.summary.damaged.append(str(path))
            tqdm.write(f"damaged: {in_one_line(damage)}", file=sys.stderr)

    def _predict_frames(self, video: VideoReader) -> str | None:
        """Returns what is wrong with the video."""
        entry = {"id": len(self._results.videos) + 1, "file_name": video.path.as_posix()}
        entry["picture"] = self._names[video.path]
        interrupt: KeyboardInterrupt | None = None
        with ExitStack() as stack:
            try:
                self._write_frames(video, entry, stack)
            except KeyboardInterrupt as error:
                if "width" not in entry:
                    raise
                interrupt = error
        entry["frames"] = video.frames_read
        damage = f"{video.path}: interrupted after {video.frames_read} frames" if interrupt else video.damage
        self._results.videos.append(entry | ({"damage": damage} if damage else {}))
        self.summary.videos += 1
        if interrupt:
            raise interrupt
        return damage

    def _write_frames(self, video: VideoReader, entry: dict[str, Any], stack: ExitStack) -> None:
        writer: VideoWriter | None = None
        bar = stack.enter_context(_frame_bar(video))
        for batch in _batches(video, self._detector.batch_size):
            results = self._detect([frame.image for frame in batch])
            if writer is None:
                height, width = batch[0].image.shape[:2]
                path, rate = self._out / entry["picture"], video.rate / video.every
                writer = stack.enter_context(VideoWriter(path, rate, (height, width), self._parts))
                entry |= {"width": width, "height": height, "frame_rate": video.rate}
            for frame, found in zip(batch, results, strict=True):
                where = {"video_id": entry["id"], "frame": frame.number, "timestamp": round(frame.timestamp, 3)}
                self._results.add_image(frame.image, found, file_name=entry["file_name"], **where)
                writer.write(draw_on(frame.image, found))
                self.summary.frames += 1
            bar.update(len(batch))

    def _detect(self, images: list[Image]) -> list[Detections]:
        started = perf_counter()
        found = self._detector(images)
        self.summary.detector_seconds += perf_counter() - started
        return [detections.above(self._score) for detections in found]

    def _readable(self, paths: Iterable[Path], bar: Any) -> Iterator[tuple[Path, Image]]:
        for path in paths:
            try:
                yield path, read_image(path)
            except ImageError as error:
                self._skip(path, error)
                bar.update()

    def _skip(self, path: Path, error: Exception) -> None:
        self.summary.skipped.append(str(path))
        tqdm.write(f"skipped: {in_one_line(str(error))}", file=sys.stderr)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _frame_bar(video: VideoReader) -> Any:
    total = video.frames_announced and -(-video.frames_announced // video.every)
    return tqdm(total=total, unit="frame", desc=in_one_line(video.path.name), disable=None)
