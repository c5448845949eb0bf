"""The guides, held to their own text: their commands exist, and those on own data run (``make guide``)."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from dvc.cli import parse_args
from dvc.utils.hydra import apply_overrides

from pipeline.recipes.resolving import resolve
from pipeline.settings import PARAMS_FILE, load_params
from tests.minimal_dataset import minimal_dataset

OWN_DATA, EXPERIMENTS = Path("docs/own_data.md"), Path("docs/experiments.md")
CLASSES = ["left valve", "right valve"]


def commands(page: Path, heading: str = "") -> list[str]:
    """The lines of fenced blocks, below a heading; what commands print is marked as text."""
    section = page.read_text()
    if heading:
        section = re.split(r"^## ", section.partition(heading)[2], maxsplit=1, flags=re.M)[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.M | re.S)
    return [line for language, block in blocks if not language for line in block.splitlines()]


REHEARSAL = commands(OWN_DATA, "## A rehearsal first\n")


def test_own_data_takes_three_commands() -> None:
    assert [line.split()[:2] for line in commands(Path("README.md"), "## Your own data\n")] == [
        ["git", "clone"],
        ["make", "use"],
        ["make", "repro"],
    ]
    assert [line.split()[:3] for line in commands(OWN_DATA)[:3]] == [
        ["make", "use", "DATA=path/to/data"],
        ["make", "repro"],
        [".venv/bin/python", "-m", "deploy.predict"],
    ]


@pytest.mark.parametrize("line", dict.fromkeys(commands(OWN_DATA)))
def test_what_the_guide_calls_exists(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "make":
        text = Path("Makefile").read_text()
        known = {"DATA", *re.search(r"USE_OPTIONS := (.*)", text)[1].split()}
        assert f"\n{words[0]}: " in text
        assert {word.partition("=")[0] for word in words[1:]} <= known
    elif program == ".venv/bin/python":
        assert importlib.util.find_spec(words[1])
    else:
        assert shutil.which(program)


def test_three_weights_are_three_recipes(tmp_path: Path) -> None:
    runs = [shlex.split(line) for line in commands(EXPERIMENTS, "## Compare three weights\n") if "exp run" in line]
    changed, found = tmp_path / "params.yaml", []
    for run in runs:
        shutil.copy(PARAMS_FILE, changed)
        apply_overrides(changed, [run[run.index("-S") + 1]])
        student = load_params(changed).students["crosskd"]
        content = resolve(student.recipe, minimal_dataset("a"), student.options).content["config"]
        found.append(content["distillation"]["methods"][0])
    assert [method.pop("cls_weight") for method in found] == [0.5, 1.0, 2.0]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("line", [line for line in commands(EXPERIMENTS) if line.startswith("dvc ")])
def test_dvc_knows_the_commands(line: str) -> None:
    assert parse_args(shlex.split(line)[1:]).func


def draw_data_set(root: Path, count: int = 24) -> None:
    """Pictures of 160 x 120 with one or two filled rectangles, whose colours are their classes, and YOLO's labels."""
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    (root / "data.yaml").write_text(yaml.safe_dump({"names": CLASSES, "train": "images"}))
    for number in range(count):
        picture, rows = random.integers(0, 120, (120, 160, 3), np.uint8), []
        for place in range(1 + number % 2):
            kind, (width, height) = int(random.integers(2)), random.integers(24, 56, 2)
            x, y = int(random.integers(place * 80, place * 80 + 80 - width)), int(random.integers(0, 120 - height))
            picture[y : y + height, x : x + width] = ((30, 200, 250), (220, 60, 20))[kind]
            rows.append(f"{kind} {(x + width / 2) / 160} {(y + height / 2) / 120} {width / 160} {height / 120}")
        cv2.imwrite(str(root / f"images/{number:02d}.png"), picture)
        (root / f"labels/{number:02d}.txt").write_text("\n".join(rows) + "\n")


@pytest.mark.guide
def test_the_rehearsal_runs_from_its_text(tmp_path: Path) -> None:
    project = tmp_path / "project"
    subprocess.run(["make", "-s", ".copy", f"TO={project}"], check=True)
    (project / ".venv").symlink_to(Path(".venv").resolve())
    draw_data_set(project / "path/to/data")
    said = ""
    for line in REHEARSAL:
        done = subprocess.run(
            line, shell=True, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-5000:]}"
        said += done.stdout
    (tmp_path / "said.txt").write_text(said)
    assert "2 classes (left valve, right valve)" in said
    assert "val and test: taken from train by a seed" in said
    assert "time: about " in said
    assert re.search(r"^stage \d+ of \d+: distill@crosskd; about .* left", said, re.M)
    assert re.search(r"^report: reports/report\.html; .*; 12 ONNX files: artefacts/\nShip artefacts/", said, re.M)
    assert len([*(project / "predictions").rglob("*.png")]) >= 24 or [*(project / "predictions").rglob("*.jpg")]
    assert (project / "reports/losses/teacher.csv").read_text().count("\n") > 1
