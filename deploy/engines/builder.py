"""Build a TensorRT engine from an ONNX graph; errors name the operator that TensorRT does not build.

TensorRT 11 has no precision flags: networks are strongly typed, and the graph's own types decide. TensorRT 10 is asked
for the same (``STRONGLY_TYPED``), so that one graph gives one precision in both.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnx import ModelProto, helper
from onnx.parser import parse_graph

from deploy.runtime.artefact import INPUT_NAME
from deploy.runtime.backends.tensorrt_module import log_of, read_plan, said, version_of
from deploy.runtime.engine_file import Profile
from deploy.runtime.errors import ArtefactError, BackendUnavailable

if TYPE_CHECKING:
    import tensorrt_rtx

_MIB = 1 << 20


@dataclass(frozen=True)
class BuildOptions:
    """How an engine is built.

    ``timing_cache`` is the content of an earlier build's (kernel timings of this GPU; empty: measure all). TensorRT
    refuses one of another device or version, and measures all.
    ``compute_capabilities`` such as ``8.6`` build ahead of time for other GPUs, which TensorRT-RTX alone can; none
    means the GPU that is here.
    """

    profiles: tuple[Profile, ...]
    workspace_mib: int
    timing_cache: bytes = b""
    compute_capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What TensorRT built: the serialised engine, and the timing cache to hand to the next build (may be empty)."""

    content: bytes
    timing_cache: bytes


def build_plan(trt: Any, model: ModelProto, options: BuildOptions, source: str) -> Plan:
    """Build ``model``, whose one input is ``images``, with ``tensorrt`` 10 or 11, or ``tensorrt_rtx``.

    Args:
        trt: the imported module, one of those (:func:`deploy.runtime.backends.tensorrt_module.import_tensorrt`).
        model: a graph whose first input dimension alone is dynamic.
        options: profiles, memory limit, timing cache, target.
        source: the file's name for messages.

    Raises:
        ArtefactError: TensorRT cannot parse or build the graph; the message names the operator.
    """
    log = log_of(trt)
    log.messages.clear()
    builder: tensorrt_rtx.Builder = trt.Builder(log)
    network = builder.create_network(_creation_flags(trt))
    _parse(trt, network, log, model, source)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * _MIB)
    # TensorRT rounds float32 products to TF32 by default: another precision than the artefact's.
    config.clear_flag(trt.BuilderFlag.TF32)
    _set_targets(trt, config, options.compute_capabilities)
    for profile in options.profiles:
        config.add_optimization_profile(_profile(trt, builder, network, profile))
    # TensorRT-RTX measures no kernels when it builds.
    measures = trt.__name__ != "tensorrt_rtx"
    if measures:
        config.set_timing_cache(config.create_timing_cache(options.timing_cache), False)
    log.messages.clear()
    # Host memory of TensorRT offers its bytes as a buffer, which its type does not say.
    plan: Any = builder.build_serialized_network(network, config)
    if plan is None:
        raise ArtefactError(_build_error(trt, model, log.messages, source))
    timings: Any = config.get_timing_cache().serialize() if measures else b""
    return Plan(bytes(plan), bytes(timings))


def check_runs(trt: Any, gpu: str) -> None:
    """Build an engine of one operator for the GPU that is here and open it.

    TensorRT-RTX builds whole engines for GPUs on which it then refuses to open them (1.7: data-centre GPUs of compute
    capability 9.0), and TensorRT drops old GPUs from release to release.

    Args:
        trt: as :func:`build_plan` takes it.
        gpu: the GPU's name, for the message.

    Raises:
        BackendUnavailable: the engine cannot be built or opened; says what TensorRT said.
    """
    refused = f"tensorrt: {version_of(trt)} runs no engine on {gpu}"
    try:
        plan = build_plan(
            trt, trial_graph(), BuildOptions((Profile(1, 1, 1),), workspace_mib=16), "a graph of one operator"
        )
    except ArtefactError as error:
        raise BackendUnavailable(f"{refused}: {error}") from error
    if read_plan(trt, plan.content) is None:
        raise BackendUnavailable(f"{refused}:\n{said(log_of(trt).messages)}")


def trial_graph() -> ModelProto:
    """One operator, whose first dimension is dynamic."""
    inputs, outputs = f"float[batch, 1] {INPUT_NAME}", "float[batch, 1] result"
    graph = parse_graph(f"trial ({inputs}) => ({outputs}) {{ result = Abs({INPUT_NAME}) }}")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def blamed_nodes(model: ModelProto, messages: Sequence[str]) -> list[str]:
    """The nodes that TensorRT's messages speak of, as ``operator (node)``, each once.

    TensorRT names its layers after ONNX nodes, with an ending of its own where one node becomes several layers; a
    message counts for the longest node name in it.
    """
    nodes = sorted((node for node in model.graph.node if node.name), key=lambda node: -len(node.name))
    found: dict[str, None] = {}
    for message in messages:
        match = next((node for node in nodes if re.search(rf"{re.escape(node.name)}(?!\d)", message)), None)
        if match is not None:
            found[f"{match.op_type} ({match.name})"] = None
    return list(found)


def _creation_flags(trt: Any) -> int:
    # TensorRT 11 knows strongly typed networks alone and may drop the flag that asks for them.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _parse(trt: Any, network: "tensorrt_rtx.INetworkDefinition", log: Any, model: ModelProto, source: str) -> None:
    parser: tensorrt_rtx.OnnxParser = trt.OnnxParser(network, log)
    if parser.parse(model.SerializeToString()):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    named = [f"{error.node_operator()} ({error.node_name()}): {error.desc()}" for error in errors]
    raise ArtefactError(f"{source}: {version_of(trt)} cannot parse it:\n{said(named or log.messages)}")


def _build_error(trt: Any, model: ModelProto, messages: Sequence[str], source: str) -> str:
    blamed = ", ".join(blamed_nodes(model, messages)) or "an operator that it does not name"
    return f"{source}: {version_of(trt)} does not build {blamed}:\n{said(messages)}"


def _set_targets(trt: Any, config: "tensorrt_rtx.IBuilderConfig", compute_capabilities: Sequence[str]) -> None:
    if not compute_capabilities:
        return
    config.num_compute_capabilities = len(compute_capabilities)
    for index, capability in enumerate(compute_capabilities):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}"), index)


def _profile(
    trt: Any, builder: "tensorrt_rtx.Builder", network: "tensorrt_rtx.INetworkDefinition", profile: Profile
) -> "tensorrt_rtx.IOptimizationProfile":
    built = builder.create_optimization_profile()
    rest = network.get_input(0).shape[1:]
    built.set_shape(INPUT_NAME, *(trt.Dims((size, *rest)) for size in (profile.least, profile.best, profile.most)))
    return built
