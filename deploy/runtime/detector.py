"""The detector object: images in, detections in original pixels out, whatever backend runs the artefact."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Self, cast, overload

import numpy as np

from deploy.runtime.artefact import ArtefactSpec, read_spec
from deploy.runtime.backends import Backend, DeviceTimes, RawDetections, open_backend
from deploy.runtime.detections import Detections
from deploy.runtime.engine_file import SUFFIX as ENGINE
from deploy.runtime.engine_file import read_description
from deploy.runtime.errors import ArtefactError
from deploy.runtime.images import Colors, Image, Source, check_colors, checked_image, is_one_image, load_image
from deploy.runtime.preprocess import Letterbox, letterbox, sizes_of


@dataclass(frozen=True)
class PhaseTimes:
    """Milliseconds of one call. Decoding of the image file is none of them.

    ``inference`` is what the backend took besides its copies to and from the device (none on a CPU), so that the phases
    add up to the call; it includes waiting for other threads. ``device_inference`` is the part of it that a device
    measured itself, None on a CPU.
    """

    preprocessing: float
    inference: float
    postprocessing: float
    host_to_device: float = 0.0
    device_to_host: float = 0.0
    device_inference: float | None = None

    @classmethod
    def between(
        cls, start: float, prepared: float, inferred: float, end: float, device: DeviceTimes | None = None
    ) -> Self:
        """From four readings of a clock in seconds, and the backend's own of its copies."""
        sent, back = (device.host_to_device, device.device_to_host) if device else (0.0, 0.0)
        run = 1e3 * (inferred - prepared) - sent - back
        own = device.inference if device else None
        return cls(1e3 * (prepared - start), run, 1e3 * (end - inferred), sent, back, own)

    @property
    def total(self) -> float:
        """The whole call: from decoded images to detections in original pixels."""
        return self.preprocessing + self.host_to_device + self.inference + self.device_to_host + self.postprocessing


class Detector:
    """Pre-processing, one backend, post-processing. The only code that turns an image into detections.

    Any number of threads may use it at once; images and detections are their own.

    Args:
        spec: how the artefact is fed and read.
        backend: what runs it: opened by :func:`deploy.load`, or any other :class:`deploy.runtime.backends.Backend`.
        batch_size: largest number of images that the backend gets at once.
        colors: the order, ``bgr`` or ``rgb``, of the arrays that it is given; files and PIL images say it themselves.
        source: what the artefact is called in errors: its file.
    """

    def __init__(
        self,
        spec: ArtefactSpec,
        backend: Backend,
        batch_size: int = 8,
        colors: Colors = "bgr",
        source: str = "the artefact",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
        self.spec = spec
        self.backend = backend
        self.batch_size = batch_size
        self.colors = check_colors(colors)
        self._source = source

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the backend holds; leaving a ``with`` block does it too.

        Calls after it raise :class:`deploy.runtime.errors.BackendClosed`; a batch that another thread has begun is
        finished.
        """
        self.backend.close()

    @overload
    def __call__(self, images: "Source") -> Detections: ...  # type: ignore[overload-overlap]  # str is iterable too
    @overload
    def __call__(self, images: "Iterable[Source]") -> list[Detections]: ...
    def __call__(self, images: "Source | Iterable[Source]") -> Detections | list[Detections]:
        """Detect objects in one image or in several.

        Args:
            images: one image or any number of them: paths, the content of image files (``bytes``), PIL images, or
                uint8 arrays ``[H, W, 3]`` in the order ``colors``. An array of four dimensions is taken as several
                images.

        Returns:
            :class:`Detections` for one image, a list of them for several.

        Raises:
            ImageError: a file cannot be read, or something else is no image; of several, the message names which.
            ArtefactError: its graph cannot be run, or gives what its metadata does not know.
            BackendClosed: the detector was closed.
        """
        if is_one_image(images):
            return self._run([load_image(images, self.colors)], perf_counter())[0][0]
        found: list[Detections] = []
        remaining = enumerate(cast("Iterable[Source]", images))
        while batch := [
            load_image(image, self.colors, f"images[{place}]") for place, image in islice(remaining, self.batch_size)
        ]:
            found += self._run(batch, perf_counter())[0]
        return found

    def timed(self, images: Sequence[Image]) -> tuple[list[Detections], PhaseTimes]:
        """Run decoded images as one batch; returns their detections and how long each phase took.

        Args:
            images: uint8 ``[H, W, 3]`` in the order ``colors``, at least one; ``batch_size`` does not apply.

        Raises:
            ImageError: one of them is no such array.
            BackendClosed: the detector was closed.
        """
        start = perf_counter()
        places = enumerate(images)
        return self._run([checked_image(image, self.colors, f"images[{place}]") for place, image in places], start)

    def _run(self, images: list[Image], start: float) -> tuple[list[Detections], PhaseTimes]:
        """The same for checked images in BGR; the clock stood at ``start`` before they were."""
        batch, placements = letterbox(images, self.spec)
        prepared = perf_counter()
        needs_sizes = self.spec.dynamic_size or getattr(self.backend, "needs_sizes", False)
        raw = self.backend.run(batch, sizes_of(placements) if needs_sizes else None)
        inferred = perf_counter()
        found = [self._detections(raw, index, placement) for index, placement in enumerate(placements)]
        return found, PhaseTimes.between(start, prepared, inferred, perf_counter(), raw.device_times)

    def _detections(self, raw: RawDetections, index: int, placement: Letterbox) -> Detections:
        count = int(raw.num_dets[index])
        boxes = placement.to_original(raw.boxes[index, :count])
        scores = raw.scores[index, :count].astype(np.float32, copy=False)
        labels = raw.labels[index, :count].astype(np.int64, copy=False)
        try:
            found = Detections(boxes, scores, labels, self.spec.classes)
        except ValueError as error:
            raise ArtefactError(
                f"{self._source}: its graph gives other detections than its metadata says: {error}; export it again"
            ) from error
        # A box that lies in the padding alone is empty once it is clipped to the image.
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return found if inside.all() else found.select(inside)


def open_detector(
    artefact: Path | str,
    backend: str | None = None,
    threads: int = 0,
    batch_size: int = 8,
    verify: bool = True,
    *,
    colors: Colors = "bgr",
) -> Detector:
    """Open an artefact; see :func:`deploy.load`."""
    path = Path(artefact)
    spec = read_description(path).spec if path.suffix == ENGINE else read_spec(path, verify)
    return Detector(spec, open_backend(backend, path, spec, threads), batch_size, colors, str(path))
