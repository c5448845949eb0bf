"""Run :mod:`deploy.timing.worker` in a process of its own and wait for its outcome."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from deploy.runtime.errors import ArtefactError
from deploy.runtime.scratch import scratch_folder
from deploy.timing.worker import Job, Outcome

_ROOT = Path(__file__).resolve().parents[2]
_TAIL_BYTES = 16_384
_TAIL_LINES = 20


def run_isolated(job: Job) -> Outcome:
    """Measure ``job`` in a fresh interpreter; what the worker prints is passed on to this process's stderr.

    Raises:
        ArtefactError: the worker failed or was killed; the message ends with the last lines that it printed.
    """
    with scratch_folder("benchmark") as scratch:
        job_file, outcome_file = scratch / "job.json", scratch / "outcome.json"
        job_file.write_text(json.dumps(asdict(job)), encoding="utf-8")
        status, tail = _run([sys.executable, "-m", "deploy.timing.worker", str(job_file), str(outcome_file)])
        if status:
            ending = f"was killed by signal {-status}" if status < 0 else f"failed with exit status {status}"
            raise ArtefactError(f"{job.artefact}: its benchmark under {job.backend} {ending}; its last words:\n{tail}")
        return Outcome.read(outcome_file)


def _run(command: list[str]) -> tuple[int, str]:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    kept = b""
    reader, writer = os.pipe()
    process = subprocess.Popen(command, env=environment, stdout=writer, stderr=writer)
    os.close(writer)
    try:
        while chunk := os.read(reader, 4096):
            sys.stderr.write(chunk.decode(errors="replace"))
            sys.stderr.flush()
            kept = (kept + chunk)[-_TAIL_BYTES:]
        status = process.wait()
    finally:
        process.kill()
        process.wait()
        os.close(reader)
    lines = [line.rstrip() for line in kept.decode(errors="replace").splitlines() if line.strip()]
    return status, "\n".join(lines[-_TAIL_LINES:]) or "(nothing)"
