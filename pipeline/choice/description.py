"""What was found, chosen and why, a line each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.choice.expected_time import ExpectedTime
from pipeline.choice.own_data import DataFacts, small_side
from pipeline.dataset_settings import ChoosingSplit, DataSettings
from pipeline.datasets.folder_format import split_names
from pipeline.recipes import read_recipe
from pipeline.stage_times import duration

NEXT = "next: make repro (or dvc repro); back to the embedded run: git checkout params.yaml"


def describe(choice: Mapping[str, Any]) -> list[str]:
    """What was chosen for recipes that were named."""
    trained = {**choice["twins"], **choice["students"]}
    chosen = [_teacher(choice), *(f"{name}: {student['recipe']}" for name, student in trained.items())]
    return [*_data(choice, "as for published numbers"), *chosen, NEXT]


def describe_own(
    choice: Mapping[str, Any],
    facts: DataFacts,
    times: Sequence[ExpectedTime],
    device: str,
    model: str,
    reason: str = "",
) -> list[str]:
    """What was found in a folder, what suits it and why, how long it takes here, and how to change each.

    Args:
        choice: of ``params.yaml``.
        facts: of the data set.
        times: of its trainings.
        device: that they were measured on.
        model: the student's size or name.
        reason: why no part of train chooses, where one could.
    """
    size, epochs = choice["input_size"], choice["train"]["epochs"]
    images = ", ".join(f"{name} {count}" for name, count in facts.images.items())
    classes = f"{len(facts.classes)} classes ({_shortened(facts.classes)})"
    lines = [*_data(choice, reason), f"found: {images} images; {classes}; {facts.boxes} boxes in train"]
    if len(facts.box_shares):
        median, longer = float(np.median(facts.box_shares)), facts.longer_side
        lines.append(f"boxes: half have a side under {median:.1%} of their picture's longer one ({longer} px)")
    shown, longer = (size, size) if isinstance(size, int) else ("x".join(map(str, size)), max(size))
    small = small_side(facts, longer)
    lines.append(f"input size: {shown}, where nine boxes of ten are larger than {small:.0f} px (SIZE=)")
    students = ", ".join(choice["students"])
    recipe = next(iter(choice["students"].values()))["recipe"]
    lines += [f"{_teacher(choice)} (TEACHER=)", f"student: {model}, {recipe} (MODEL=), by {students} (METHODS=)"]
    length = f"{epochs} epochs, " if epochs else ""
    budget = f"{length}{times[-1].iterations:,} iterations of {times[-1].batch_size} images"
    lines.append(f"training: {budget} (EPOCHS=, BATCH=)")
    return [*lines, _duration(times, device), NEXT]


def _data(choice: Mapping[str, Any], reason: str) -> list[str]:
    data = choice["data"]
    splits = split_names(DataSettings.model_validate(data))
    lines = [f"data: {data[data['name']]['root']} ({data['name']})"]
    if "val" not in splits:
        taken = "val" if "test" in splits else "val and test"
        lines.append(f"{taken}: taken from train by a seed (data.{data['name']}.splits in params.yaml)")
    elif "test" not in splits:
        lines.append(_without_test(data["choose_on"], reason))
    return lines


def _without_test(choose_on: ChoosingSplit, reason: str) -> str:
    if choose_on == "train":
        return "test split: val; a part of train, taken by a seed, chooses weights in its place (CHOOSE_ON=val)"
    why = f"; {reason}" if reason else ""
    return f"no test split: val chooses weights and is measured too, which flatters{why} (CHOOSE_ON=train)"


def _teacher(choice: Mapping[str, Any]) -> str:
    teacher = choice["teacher"]
    fetched = next(iter(teacher["checkpoints"].values()), None)
    if fetched:
        origin = str(fetched["sources"][0])
    else:
        source = (
            teacher["init"]["sources"][0] if teacher["init"] else read_recipe(Path(teacher["config"])).get("load_from")
        )
        start = f", from {source}" if source else ""
        origin = f"trained here: no published weights for these classes{start}"
    return f"teacher: {teacher['config']} ({origin})"


def _duration(times: Sequence[ExpectedTime], device: str) -> str:
    each = [f"{one.model} {duration(one.seconds)} ({one.seconds_per_iteration:.2f} s a step)" for one in times]
    whole = duration(sum(one.seconds for one in times))
    return f"time: about {whole} of training here ({device}): {', '.join(each)}"


def _shortened(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
