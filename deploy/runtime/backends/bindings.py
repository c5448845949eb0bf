"""The inputs and outputs of an engine as plain data: shapes, sizes, and which profile takes a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.runtime.artefact import INPUT_NAME, OUTPUT_NAMES, SIZES_NAME, ArtefactSpec
from deploy.runtime.engine_file import Profile
from deploy.runtime.errors import ArtefactError, BatchOutsideProfiles

ANY = -1
"""A dimension that is fixed when the model runs: the batch, and height and width where the size is dynamic."""


@dataclass(frozen=True)
class Binding:
    """One input or output of an engine; the first dimension of ``shape`` is the batch, :data:`ANY`."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    is_input: bool

    def shape_of(self, batch: int) -> tuple[int, ...]:
        """The shape for ``batch`` images."""
        return (batch, *self.shape[1:])

    def nbytes(self, batch: int) -> int:
        """Bytes of the values for ``batch`` images."""
        return int(np.prod(self.shape_of(batch), dtype=np.int64)) * self.dtype.itemsize


def expected_bindings(spec: ArtefactSpec) -> tuple[Binding, ...]:
    """What an engine or graph with this specification must offer: see :class:`deploy.runtime.artefact.ArtefactSpec`."""
    count = spec.max_detections
    shapes = ((ANY, count, 4), (ANY, count), (ANY, count), (ANY,))
    dtypes = (np.float32, np.float32, np.int64, np.int64)
    outputs = zip(OUTPUT_NAMES, dtypes, shapes, strict=True)
    canvas = (ANY, ANY) if spec.dynamic_size else (spec.input_height, spec.input_width)
    sizes = [Binding(SIZES_NAME, np.dtype(np.int64), (ANY, 2), True)] if spec.dynamic_size else []
    return (
        Binding(INPUT_NAME, np.dtype(np.uint8), (ANY, *canvas, 3), True),
        *sizes,
        *(Binding(name, np.dtype(dtype), shape, False) for name, dtype, shape in outputs),
    )


def check_bindings(
    found: Sequence[Binding], spec: ArtefactSpec, source: str, declared: bool = False
) -> tuple[Binding, ...]:
    """Hold an engine's bindings against its specification; returns them with the input first, outputs in their order.

    Args:
        found: what it has.
        spec: what it must have.
        source: names it in the error.
        declared: ``found`` is what a graph declares, which may leave sizes open (:data:`ANY`) that are fixed.

    Raises:
        ArtefactError: naming every binding that is missing, unknown, or of another type or shape.
    """
    wanted = {binding.name: binding for binding in expected_bindings(spec)}
    present = {binding.name: binding for binding in found}
    problems = [f"{name} is missing" for name in wanted.keys() - present.keys()]
    problems += [f"{name} is unknown" for name in present.keys() - wanted.keys()]
    problems += [
        f"{name} must be {_described(wanted[name])}, got {_described(present[name])}"
        for name in wanted.keys() & present.keys()
        if not _fits(present[name], wanted[name], declared)
    ]
    if problems:
        raise ArtefactError(
            f"{source}: its inputs and outputs do not fit: {'; '.join(sorted(problems))}; build it again"
        )
    return tuple(wanted.values())


def choose_profile(profiles: Sequence[Profile], batch: int, source: str) -> int:
    """Index of the profile for ``batch`` images: of those that take it, the one that is tuned for the nearest size.

    Raises:
        BatchOutsideProfiles: the batch is empty or no profile takes it.
    """
    fitting = [index for index, profile in enumerate(profiles) if profile.least <= batch <= profile.most]
    if not fitting:
        ranges = ", ".join(f"{profile.least} to {profile.most}" for profile in profiles)
        raise BatchOutsideProfiles(
            f"{source}: a batch of {batch} images is outside the engine's profiles ({ranges}); send fewer or more at "
            "once, or change engine.profiles in params.yaml and build it again"
        )
    return min(fitting, key=lambda index: (abs(profiles[index].best - batch), profiles[index].most))


def _fits(found: Binding, wanted: Binding, declared: bool) -> bool:
    if not declared:
        return found == wanted
    sizes = zip(found.shape, wanted.shape, strict=False)
    return (
        (found.dtype, found.is_input, len(found.shape)) == (wanted.dtype, wanted.is_input, len(wanted.shape))
        and found.shape[0] == ANY
        and all(ANY in pair or pair[0] == pair[1] for pair in sizes)
    )


def _described(binding: Binding) -> str:
    batch, *rest = ["any" if size == ANY else str(size) for size in binding.shape] or ["no dimension"]
    shape = ", ".join(["batch" if batch == "any" else batch, *rest])
    return f"{'input' if binding.is_input else 'output'} {binding.dtype} [{shape}]"
