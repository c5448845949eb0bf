"""The parts of the proof, the most telling first, each with its limit. Standard library only.

The limits add up to 600 s; what the processes of a part take to start is on top. docs/gpu.md says what was measured.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part of the proof.

    Attributes:
        name: its module in this package, which has ``checks(place)``.
        title: what it proves.
        limit: seconds for all of its checks, once its process has started.
        check_limit: seconds after which one check counts as hung.
    """

    name: str
    title: str
    limit: float
    check_limit: float


PARTS = (
    Part("gradients", "Every method on every family: losses and gradients of a step, CUDA against the CPU", 90, 40),
    Part("operators", "mmcv's operators: CUDA against the CPU", 10, 5),
    Part("step_speed", "A distillation step at COCO size: speed and memory beside its parts", 180, 90),
    Part("artefacts", "ONNX Runtime CUDA and TensorRT: boxes, AP and latency of the exported teacher", 100, 60),
    Part("training", "The embedded chain's students trained on the GPU: AP beside the CPU's", 180, 180),
    Part("collectives", "Gradients of several processes: NCCL", 40, 40),
)
BROKEN_DEVICE = 75
"""Exit code of a part whose device computes no more: the checks that are left need a new process."""
TOTAL_LIMIT = sum(part.limit for part in PARTS)
