"""The engine stage: one TensorRT engine for each ONNX file of a model, for the GPU that is here."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from deploy.engines.builder import BuildOptions, build_plan, check_runs
from deploy.runtime.artefact import ArtefactSpec, read_spec
from deploy.runtime.backends import BACKENDS
from deploy.runtime.backends.cuda_device import find_device
from deploy.runtime.backends.tensorrt_module import import_tensorrt, version_of
from deploy.runtime.engine_file import SUFFIX, EngineDescription, Profile, Target, description_of
from deploy.runtime.errors import BackendUnavailable, NoPortableForm
from pipeline.deploy_records import EngineBuild, EngineRecord
from pipeline.deploy_settings import EngineSettings
from pipeline.storage import fresh_directory, sha256_of, write_atomic

logger = logging.getLogger(__name__)

PRECISIONS = BACKENDS["tensorrt"].precisions or ()
"""Those that an engine is built of; the other form of int8 has asymmetric activations, which TensorRT does not take."""


def build_engines(
    model: str, graphs: Sequence[Path], settings: EngineSettings, folder: Path, timing_caches: Path
) -> EngineRecord:
    """Build ``folder/<name>.engine`` and its description from each ONNX file, in its portable form; nothing else stays.

    Args:
        model: a student of ``params.yaml``, or ``teacher``.
        graphs: ONNX files of this project; their own types decide the precision.
        settings: profiles, passes of NMS, memory limit.
        folder: where the engines are put, all or none of them.
        timing_caches: where kernel timings are kept from build to build, one file a GPU, driver and TensorRT version.

    Returns:
        What was built, or why nothing was: no CUDA device, no TensorRT, one that runs nothing on this GPU, a dynamic
        size, or a detector that has no portable form.

    Raises:
        ArtefactError: a file is no artefact of this project, or TensorRT does not build one of its operators.
    """
    precisions = {graph: read_spec(graph).precision for graph in graphs}
    with fresh_directory(folder) as scratch:
        try:
            device, trt = find_device(), import_tensorrt()
            check_runs(trt, f"{device.name} (compute capability {device.compute_capability})")
        except BackendUnavailable as error:
            logger.info("%s: not built: %s", model, error)
            builds = [_build_record(graph, precisions[graph], reason=str(error)) for graph in graphs]
            return _record(model, None, settings, builds)
        here = Target(device.name, device.compute_capability, device.driver, version_of(trt))
        cache = _timing_cache(timing_caches, here)
        builds = []
        for graph in graphs:
            started = perf_counter()
            try:
                description, plan = _build(trt, graph, settings, here, cache)
            except NoPortableForm as error:
                logger.info("%s: not built: %s", model, error)
                builds.append(_build_record(graph, precisions[graph], reason=str(error)))
                continue
            seconds = perf_counter() - started
            name = f"{graph.stem}{SUFFIX}"
            write_atomic(scratch / name, plan)
            write_atomic(description_of(scratch / name), description.to_json(plan))
            build = _build_record(graph, precisions[graph])
            written = {
                "file": (folder / name).as_posix(),
                "sha256": hashlib.sha256(plan).hexdigest(),
                "file_size": len(plan),
                "build_seconds": seconds,
            }
            builds.append(build.model_copy(update=written))
        is_any_built = any(build.status == "built" for build in builds)
        return _record(model, here if is_any_built else None, settings, builds)


def _build(
    trt: Any, graph: Path, settings: EngineSettings, here: Target, cache: Path
) -> tuple[EngineDescription, bytes]:
    if read_spec(graph).dynamic_size:
        raise NoPortableForm(
            f"{graph}: its size is dynamic, and engines are built for one height and width; run it with ONNX Runtime "
            "or OpenVINO, or set export.dynamic_size: false in params.yaml and export it again"
        )
    # With torch, which a machine without a GPU need not wait for.
    from deploy.engines.portable import read_portable

    portable = read_portable(graph, settings.nms_passes)
    options = BuildOptions(
        profiles=profiles_of(settings),
        workspace_mib=settings.workspace_mib,
        timing_cache=cache.read_bytes() if cache.exists() else b"",
    )
    plan = build_plan(trt, portable, options, str(graph))
    if plan.timing_cache:
        write_atomic(cache, plan.timing_cache)
    spec = ArtefactSpec.from_metadata({entry.key: entry.value for entry in portable.metadata_props}, str(graph))
    return EngineDescription(here, sha256_of(graph), options.profiles, spec), plan.content


def profiles_of(settings: EngineSettings) -> tuple[Profile, ...]:
    """The profiles of ``params.yaml`` as an engine's description holds them."""
    return tuple(Profile(profile.least, profile.best, profile.most) for profile in settings.profiles)


def _timing_cache(folder: Path, here: Target) -> Path:
    name = "_".join("".join(c if c.isalnum() else "-" for c in part) for part in (here.gpu, here.driver, here.tensorrt))
    return folder / f"{name}.timing"


def _build_record(graph: Path, precision: str, reason: str = "") -> EngineBuild:
    return EngineBuild(
        graph=graph.as_posix(),
        graph_sha256=sha256_of(graph),
        precision=precision,
        status="not built" if reason else "built",
        reason=reason,
        file=None,
        sha256=None,
        file_size=None,
        build_seconds=None,
    )


def _record(model: str, target: Target | None, settings: EngineSettings, builds: list[EngineBuild]) -> EngineRecord:
    return EngineRecord(
        model=model,
        target=target,
        nms_passes=settings.nms_passes,
        profiles=[(profile.least, profile.best, profile.most) for profile in settings.profiles],
        engines=builds,
    )
