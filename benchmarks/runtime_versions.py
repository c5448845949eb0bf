"""Which versions of ONNX Runtime and OpenVINO give the boxes of the installed one, artefact by artefact.

Every version is installed into an environment of its own, in which each artefact detects in the same images through
`deploy.load`; its detections are matched with those of this environment. A version that opens nothing, or opens a file
and finds other boxes, is too old (or too new) for what this project writes:

    python -m benchmarks.runtime_versions artefacts/teacher*.onnx --images data/prepared/images/test \
        --versions onnxruntime==1.17.3 onnxruntime==1.20.1 openvino==2024.6.0

The oldest version that agrees is what `deploy.runtime.oldest_versions` holds.
"""

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deploy.runtime.detections import Detections
from deploy.runtime.matching import match
from pipeline.cli import stage_main

OUT = Path("build/runtime_versions")
BACKEND = {"onnxruntime": "onnxruntime", "openvino": "openvino"}
SCORE = 0.3
"""Boxes are compared from this score on."""


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Print one line a version and artefact."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime_versions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artefacts", type=Path, nargs="+")
    parser.add_argument("--images", type=Path, required=True, help="a folder of images")
    parser.add_argument("--count", type=int, default=32, help="images to detect in (%(default)s)")
    parser.add_argument("--versions", nargs="+", default=[], help="onnxruntime==... or openvino==...")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the environments (%(default)s)")
    given = parser.parse_args(argv)
    images = sorted(given.images.iterdir())[: given.count]
    print("| version | artefact | matched | largest score difference |\n|---|---|---|---|")
    for version in given.versions:
        name = version.partition("==")[0]
        python = environment(given.out / version, version)
        for artefact in given.artefacts:
            here, problem = detections(Path(sys.executable), artefact, BACKEND[name], images)
            if here is None:
                raise SystemExit(f"{artefact}: does not run here: {problem}")
            there, problem = detections(python, artefact, BACKEND[name], images)
            told = f"does not open: {problem} | " if there is None else agreement(here, there)
            print(f"| {version} | {artefact.name} | {told} |", flush=True)


def environment(folder: Path, version: str) -> Path:
    """The Python of an environment with one version of a run time and what `deploy.load` needs."""
    python = folder.resolve() / "bin/python"
    if not (folder / "made").exists():
        venv.create(folder, with_pip=True)
        needed = [version, "numpy<2", "opencv-python-headless<4.12"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *needed], check=True)
        (folder / "made").touch()
    return python


def detections(
    python: Path, artefact: Path, backend: str, images: list[Path]
) -> tuple[list[Detections] | None, str | None]:
    """What one environment finds, image by image; or none, and the last line of its error."""
    command = [str(python), "-c", _DETECT, backend, str(artefact), *map(str, images)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        return None, (process.stderr.strip().splitlines() or [f"exit status {process.returncode}"])[-1][:160]
    found = [
        Detections(
            np.array(item["boxes"], np.float32).reshape(-1, 4),
            np.array(item["scores"], np.float32),
            np.array(item["labels"], np.int64),
            tuple(map(str, range(max(item["labels"], default=0) + 1))),
        )
        for item in json.loads(process.stdout.splitlines()[-1])
    ]
    return found, None


def agreement(here: list[Detections], there: list[Detections]) -> str:
    """Share of the boxes of this environment that the other one has too, and by how much their scores differ."""
    boxes, matched, difference = 0, 0, 0.0
    for one, other in zip(here, there, strict=True):
        pairs = [(a, b) for a, b in match(one, other) if one.scores[a] >= SCORE]
        boxes += int((one.scores >= SCORE).sum())
        matched += len(pairs)
        difference = max([difference, *(float(abs(one.scores[a] - other.scores[b])) for a, b in pairs)])
    return f"{matched} of {boxes} | {difference:.4f}"


# It runs where there is no torch and no pydantic: only deploy.load.
_DETECT = """
import json, sys
import deploy, cv2, deploy.runtime.oldest_versions as versions
versions.OLDEST = dict.fromkeys(versions.OLDEST, "0")
backend, artefact, *images = sys.argv[1:]
detector = deploy.load(artefact, backend, threads=1)
found = [detector(cv2.imread(image)) for image in images]
keys = ("boxes", "scores", "labels")
print(json.dumps([{key: getattr(each, key).tolist() for key in keys} for each in found]))
"""


if __name__ == "__main__":
    main()
