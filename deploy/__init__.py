"""The inference side: export, artefacts, backends, latency and prediction.

Its run-time half starts at :func:`load` and needs numpy, OpenCV and one backend.
"""

from typing import TYPE_CHECKING

from deploy.runtime.commands import announce_interrupts

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.runtime.detector import Detector
    from deploy.runtime.images import Colors

announce_interrupts()


def load(
    artefact: "Path | str",
    backend: str | None = None,
    threads: int = 0,
    batch_size: int = 8,
    verify: bool = True,
    *,
    colors: "Colors" = "bgr",
) -> "Detector":
    """Open an artefact: ``deploy.load("student.onnx")(image)`` gives the image's detections.

    Args:
        artefact: an ONNX file written by this project's export, or an engine built from one on this machine.
        backend: a name of :data:`deploy.runtime.backends.BACKENDS`; None takes the first one that runs here, and
            passes over an engine that is stale or fails, with a warning that says why.
        threads: CPU threads of the backend; 0 means every core that this process may use.
        batch_size: largest number of images that the backend gets at once.
        verify: hold the whole file against the hash that it was written with; False for one that you changed yourself
            (an engine's plan is checked all the same).
        colors: the order of the arrays that the detector will be given: ``bgr`` as OpenCV decodes, or ``rgb``. Files
            and PIL images are right either way.

    Raises:
        ArtefactError: the file is missing, damaged or not of this project.
        BackendUnavailable: the backend asked for cannot run here, or none can; the message says why.
        ValueError: ``threads``, ``batch_size`` or ``colors`` cannot be.
    """
    from deploy.runtime.detector import open_detector

    return open_detector(artefact, backend, threads, batch_size, verify, colors=colors)
