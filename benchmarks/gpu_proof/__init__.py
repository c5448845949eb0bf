"""The proof on a GPU: what can only be seen on one, as one command with one report (``make gpu-proof``, docs/gpu.md).

Each part runs in a process of its own (:mod:`benchmarks.gpu_proof.part`), watched by one that imports nothing but the
standard library (:mod:`benchmarks.gpu_proof.supervisor`): a part that crashes, hangs or breaks the CUDA context costs
the check that it was at, and goes on with the next one in a new process.
"""
