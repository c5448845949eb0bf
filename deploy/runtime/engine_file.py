"""An engine on disk: the plan as TensorRT wrote it (``x.engine``), and beside it what it is (``x.engine.json``).

The plan is the plain file that trtexec, DeepStream and Triton read. It fits one GPU, driver and TensorRT version;
TensorRT itself notices only some of the differences, and what it then says names no cure. So the description, with the
hashes of plan and graph, is compared before TensorRT sees a byte.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.errors import ArtefactError, shown
from deploy.runtime.regular_files import check_regular, open_regular, read_regular
from deploy.runtime.text_files import is_whole

_OWN_HASH = "description_sha256"
FORMAT_VERSION = "2"
SUFFIX = ".engine"

_REBUILD = "build it here with `python -m stages.engine --model MODEL`"


@dataclass(frozen=True)
class Target:
    """Where an engine runs: the GPU and the software that built it. ``tensorrt`` names the module and its version."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

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

    @property
    def is_one(self) -> bool:
        """Whether the sizes are such: a file is data, whoever wrote it."""
        return all(map(is_whole, (self.least, self.best, self.most))) and 0 < self.least <= self.best <= self.most


@dataclass(frozen=True)
class EngineDescription:
    """What an engine says about itself; ``graph_sha256`` is the hash of the ONNX file that it was built from."""

    target: Target
    graph_sha256: str
    profiles: tuple[Profile, ...]
    spec: ArtefactSpec

    def to_json(self, plan: bytes) -> bytes:
        """The description as JSON, with the size and the hash of the plan that it is beside, and a hash of its own."""
        content = {
            "format_version": FORMAT_VERSION,
            "target": asdict(self.target),
            "graph_sha256": self.graph_sha256,
            "profiles": [asdict(profile) for profile in self.profiles],
            "spec": self.spec.to_metadata(),
            "plan_size": len(plan),
            "plan_sha256": hashlib.sha256(plan).hexdigest(),
        }
        return json.dumps({**content, _OWN_HASH: _hash_of(content)}, indent=1).encode()

    @classmethod
    def from_content(cls, content: dict[str, Any], source: str) -> Self:
        """Raises KeyError, TypeError, ValueError or :class:`ArtefactError` where the content is no description."""
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version {content['format_version']!r} is unknown")
        target, profiles = Target(**content["target"]), tuple(Profile(**profile) for profile in content["profiles"])
        if not all(isinstance(text, str) for text in (*asdict(target).values(), content["graph_sha256"])):
            raise ValueError(f"target and graph_sha256 must be texts, got {shown(content['target'])}")
        if not profiles or not all(profile.is_one for profile in profiles):
            raise ValueError(f"profiles must be batch sizes from least over best to most, got {shown(profiles)}")
        return cls(target, content["graph_sha256"], profiles, ArtefactSpec.from_metadata(content["spec"], source))


def description_of(engine: Path) -> Path:
    """The file beside an engine that says what it is."""
    return engine.with_name(f"{engine.name}.json")


def read_description(path: Path) -> EngineDescription:
    """Read what an engine is, without its plan; the plan's size is checked.

    Raises:
        ArtefactError: the engine or its description is missing, damaged, or none of this project.
    """
    return _described(path)[0]


def read_engine(path: Path) -> tuple[EngineDescription, bytes]:
    """Read an engine whole; the plan's hash is checked. Raises :class:`ArtefactError` as :func:`read_description`."""
    description, sha256 = _described(path)
    plan = _content(path)
    if hashlib.sha256(plan).hexdigest() != sha256:
        raise ArtefactError(
            f"{path}: a damaged engine: it is not the plan that {description_of(path)} says; {_REBUILD}"
        )
    return description, plan


def check_target(path: Path, description: EngineDescription, here: Target) -> None:
    """Refuse an engine that was built for another GPU, driver or TensorRT.

    Raises:
        ArtefactError: naming each difference and how to build the engine for this machine.
    """
    present = asdict(here)
    differences = [
        f"{key}: built for {value!r}, here {present[key]!r}"
        for key, value in asdict(description.target).items()
        if value != present[key]
    ]
    if differences:
        listed = "; ".join(differences)
        raise ArtefactError(f"{path}: an engine runs only where it was built: {listed}; {_REBUILD}")


def check_graph(path: Path, description: EngineDescription, graph: Path) -> None:
    """Refuse an engine that was built from another ONNX file than ``graph``.

    Raises:
        ArtefactError: naming both hashes, or that ``graph`` is missing.
    """
    try:
        with open_regular(graph) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ArtefactError(f"{graph}: cannot be read: {error.strerror or error}") from error
    if found != description.graph_sha256:
        raise ArtefactError(
            f"{path}: built from another graph (sha256 {description.graph_sha256[:12]}...) than {graph} "
            f"({found[:12]}...); {_REBUILD}"
        )


def engine_of(graph: Path) -> Path:
    """Where the engine of an ONNX file is: beside it, else where the engine stage puts it.

    For ``artefacts/NAME.onnx``, with NAME ``<model>`` or ``<model>.<precision>``: ``artefacts/NAME.engine``, else
    ``artefacts/engines/<model>/NAME.engine`` (whether it exists or not).
    """
    beside = graph.with_suffix(SUFFIX)
    return beside if beside.exists() else graph.parent / "engines" / graph.name.partition(".")[0] / beside.name


def _described(path: Path) -> tuple[EngineDescription, str]:
    try:
        size = check_regular(path).st_size
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}; {_REBUILD}") from error
    beside = description_of(path)
    text = _content(beside)
    try:
        content = json.loads(text)
        if content.pop(_OWN_HASH) != _hash_of(content):
            raise ValueError("its content is not what was written (SHA-256)")
        description = EngineDescription.from_content(content, str(path))
        if size != content["plan_size"]:
            raise ValueError(f"the engine has {size} bytes, {content['plan_size']} were written")
        return description, str(content["plan_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"{beside}: not the description of this engine ({error}); {_REBUILD}") from error


def _hash_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}; {_REBUILD}") from error
