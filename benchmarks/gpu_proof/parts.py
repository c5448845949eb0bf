"""The parts of the proof, the most telling first, each with its limit. Standard library only.

The limits add up to 540 s. Estimated for an H100 with 16 cores, from arithmetic (docs/gpu.md).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part of the proof.

    Attributes:
        name: its module in this package, which has ``checks(place)``.
        title: what it proves.
        limit: seconds for all of its checks.
        check_limit: seconds after which one check counts as hung.
    """

    name: str
    title: str
    limit: float
    check_limit: float


PARTS = (
    Part("gradients", "Every method on every family: losses and gradients of a step, CUDA against the CPU", 110, 40),
    Part("operators", "mmcv's operators: CUDA against the CPU", 20, 10),
    Part("step_speed", "A distillation step at COCO size: speed and memory beside its parts", 140, 90),
    Part("artefacts", "ONNX Runtime CUDA and TensorRT: boxes, AP and latency of the exported teacher", 90, 60),
    Part("training", "The embedded chain's students trained on the GPU: AP beside the CPU's", 150, 150),
    Part("collectives", "Gradients of several processes: NCCL", 30, 25),
)
BROKEN_DEVICE = 75
"""Exit code of a part whose device computes no more: the checks that are left need a new process."""
TOTAL_LIMIT = sum(part.limit for part in PARTS)
