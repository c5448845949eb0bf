"""An engine on disk: what TensorRT serialised (the plan), behind a header that says where it runs and what it computes.

Layout: :data:`MAGIC`, the length of the header (8 bytes, little-endian), the header (JSON), the plan. A plan fits one
GPU, driver and TensorRT version; TensorRT itself notices only some of the differences, and what it then says names no
cure. The header is compared before TensorRT sees a byte.
"""

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.errors import ArtefactError

MAGIC = b"detector-engine\0"
FORMAT_VERSION = "1"
SUFFIX = ".engine"

_LENGTH = struct.Struct("<Q")
_MAX_HEADER = 1 << 24
_REBUILD = "build it here with `python -m stages.engine --model MODEL`"


@dataclass(frozen=True)
class Target:
    """Where an engine runs: the GPU and the software that built it. ``tensorrt`` names the module and its version."""

    gpu: str
    compute_capability: str
    driver: str
    tensorrt: str


@dataclass(frozen=True)
class Profile:
    """Batch sizes that an optimisation profile takes (``least`` to ``most``) and the one that it is tuned for."""

    least: int
    best: int
    most: int


@dataclass(frozen=True)
class EngineHeader:
    """What an engine says about itself; ``graph_sha256`` is the hash of the ONNX file that it was built from."""

    target: Target
    graph_sha256: str
    profiles: tuple[Profile, ...]
    spec: ArtefactSpec

    def to_json(self, plan: bytes) -> bytes:
        """The header as JSON, with the size and the hash of the plan behind it."""
        content = {
            "format_version": FORMAT_VERSION,
            "target": asdict(self.target),
            "graph_sha256": self.graph_sha256,
            "profiles": [asdict(profile) for profile in self.profiles],
            "spec": self.spec.to_metadata(),
            "plan_size": len(plan),
            "plan_sha256": hashlib.sha256(plan).hexdigest(),
        }
        return json.dumps(content, indent=1).encode()

    @classmethod
    def from_content(cls, content: dict[str, Any], source: str) -> Self:
        """Raises KeyError, TypeError, ValueError or :class:`ArtefactError` where the content is none of a header."""
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version {content['format_version']!r} is unknown")
        return cls(
            target=Target(**content["target"]),
            graph_sha256=content["graph_sha256"],
            profiles=tuple(Profile(**profile) for profile in content["profiles"]),
            spec=ArtefactSpec.from_metadata(content["spec"], source),
        )


def pack(header: EngineHeader, plan: bytes) -> bytes:
    """The content of an engine file."""
    encoded = header.to_json(plan)
    return b"".join([MAGIC, _LENGTH.pack(len(encoded)), encoded, plan])


def read_header(path: Path) -> EngineHeader:
    """Read what an engine says about itself, without its plan.

    Raises:
        ArtefactError: the file is missing, cut off, damaged, or no engine of this project.
    """
    return _read(path, with_plan=False)[0]


def read_engine(path: Path) -> tuple[EngineHeader, bytes]:
    """Read an engine whole; the plan's hash is checked. Raises :class:`ArtefactError` as :func:`read_header` does."""
    return _read(path, with_plan=True)


def check_target(path: Path, header: EngineHeader, here: Target) -> None:
    """Refuse an engine that was built for another GPU, driver or TensorRT.

    Raises:
        ArtefactError: naming each difference and how to build the engine for this machine.
    """
    present = asdict(here)
    differences = [
        f"{key}: built for {value!r}, here {present[key]!r}"
        for key, value in asdict(header.target).items()
        if value != present[key]
    ]
    if differences:
        listed = "; ".join(differences)
        raise ArtefactError(f"{path}: an engine runs only where it was built: {listed}; {_REBUILD}")


def check_graph(path: Path, header: EngineHeader, graph: Path) -> None:
    """Refuse an engine that was built from another ONNX file than ``graph``.

    Raises:
        ArtefactError: naming both hashes, or that ``graph`` is missing.
    """
    try:
        with graph.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ArtefactError(f"{graph}: cannot be read: {error.strerror or error}") from error
    if found != header.graph_sha256:
        raise ArtefactError(
            f"{path}: built from another graph (sha256 {header.graph_sha256[:12]}...) than {graph} ({found[:12]}...); "
            f"{_REBUILD}"
        )


def engine_of(graph: Path) -> Path:
    """Where the engine of an ONNX file is: beside it, else where the engine stage puts it.

    For ``artefacts/NAME.onnx``, with NAME ``<model>`` or ``<model>.<precision>``: ``artefacts/NAME.engine``, else
    ``artefacts/engines/<model>/NAME.engine`` (whether it exists or not).
    """
    beside = graph.with_suffix(SUFFIX)
    return beside if beside.exists() else graph.parent / "engines" / graph.name.partition(".")[0] / beside.name


def _read(path: Path, with_plan: bool) -> tuple[EngineHeader, bytes]:
    try:
        with path.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                raise ArtefactError(f"{path}: not an engine of this project; {_REBUILD}")
            encoded = _sized(stream.read(_LENGTH.size), _LENGTH.size)
            (length,) = _LENGTH.unpack(encoded)
            content = json.loads(_sized(stream.read(min(length, _MAX_HEADER)), length))
            header = EngineHeader.from_content(content, str(path))
            if path.stat().st_size != stream.tell() + content["plan_size"]:
                raise ValueError(f"{path.stat().st_size} bytes, {stream.tell() + content['plan_size']} were written")
            plan = stream.read() if with_plan else b""
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}; {_REBUILD}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: a damaged or truncated engine ({error}); {_REBUILD}") from error
    if with_plan and hashlib.sha256(plan).hexdigest() != content["plan_sha256"]:
        raise ArtefactError(f"{path}: a damaged engine: its plan is not the one that was written; {_REBUILD}")
    return header, plan


def _sized(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise ValueError(f"it ends in its header, after {len(content)} of {size} bytes")
    return content
