"""What was found, chosen and why, a line each, and how to change it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.choice.expected_time import ExpectedTraining
from pipeline.choice.own_data import LEAST_SIDE, DataFacts, small_side
from pipeline.dataset_settings import EMBEDDED, ChoosingSplit, DataSettings
from pipeline.datasets.folder_format import split_names
from pipeline.layout import TEACHER
from pipeline.recipes import read_recipe
from pipeline.stage_times import duration
from pipeline.transfers import name_in

NEXT = "next: make repro (or dvc repro); back to the embedded run: git checkout params.yaml"
_AS_IT_IS = ", as the recipe has it"


def describe(
    choice: Mapping[str, Any],
    facts: DataFacts,
    trainings: Sequence[ExpectedTraining],
    device: str,
    model: str,
    reason: str = "",
) -> list[str]:
    """What was found in a data set, what was chosen and why, how long it takes here, and how to change each.

    Args:
        choice: of ``params.yaml``.
        facts: of the data set.
        trainings: as the choice sets them; the teacher first where it is trained.
        device: that their steps were measured on.
        model: the student's size or name.
        reason: why no part of train chooses, where one could.
    """
    return [
        *_data(choice, reason),
        *_found(facts),
        _size(choice, facts, trainings[-1].input_size),
        f"{_teacher(choice)} (TEACHER=)",
        *_students(choice, model),
        *_lengths(choice, trainings),
        _held(choice, trainings[-1]),
        *_times(trainings, device),
        NEXT,
    ]


def _data(choice: Mapping[str, Any], reason: str) -> list[str]:
    data = choice["data"]
    if data["name"] in EMBEDDED:
        return [f"data: {data['name']} (embedded)"]
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


def _found(facts: DataFacts) -> Iterator[str]:
    images = ", ".join(f"{name} {count}" for name, count in facts.images.items())
    classes = f"{len(facts.classes)} classes ({_shortened(facts.classes)})"
    yield f"found: {images} images; {classes}; {facts.boxes} boxes in train"
    if facts.unlabelled:
        yield (
            f"without boxes: {facts.unlabelled} pictures more, which the teacher labels for the students; the twin "
            "does without (UNLABELLED=; docs/unlabelled.md)"
        )
    if len(facts.box_shares):
        median, longer = float(np.median(facts.box_shares)), facts.longer_side
        yield f"boxes: half have a side under {median:.1%} of their picture's longer one ({longer} px)"


def _size(choice: Mapping[str, Any], facts: DataFacts, size: tuple[int, int]) -> str:
    shown = str(size[0]) if size[0] == size[1] else "x".join(map(str, size))
    own, small = _AS_IT_IS if choice["input_size"] is None else "", small_side(facts, max(size))
    few = f"; under {LEAST_SIDE} px they are hardly found" if small < LEAST_SIDE else ""
    return f"input size: {shown}{own}, where nine boxes of ten are larger than {small:.0f} px{few} (SIZE=)"


def _teacher(choice: Mapping[str, Any]) -> str:
    teacher = choice["teacher"]
    if fetched := next(iter(teacher["checkpoints"].values()), None):
        return f"teacher: {teacher['config']} ({fetched['sources'][0]})"
    init = teacher["init"]
    start = f"from {init['sources'][0]}" if init else _start(Path(teacher["config"]))
    return f"teacher: {teacher['config']} (trained here: no published weights for these classes, {start})"


def _students(choice: Mapping[str, Any], model: str) -> Iterator[str]:
    twin = next(iter(choice["twins"].values()))["recipe"]
    yield f"student: {model}, {twin}, {_start(Path(twin))} (MODEL=)"
    students = ", ".join(f"{name} ({one['recipe']})" for name, one in choice["students"].items())
    yield f"by: {students} (METHODS=)"


def _start(recipe: Path) -> str:
    """What the training of a recipe begins from, in words."""
    config = read_recipe(recipe)
    if source := config.get("load_from"):
        return f"from {source}"
    if weights := config.get("backbone_weights"):
        return f"from ImageNet's {name_in(weights.sources[0]) or weights.sources[0]}"
    return "from random weights"


def _lengths(choice: Mapping[str, Any], trainings: Sequence[ExpectedTraining]) -> Iterator[str]:
    """How long is trained, the teacher in a line of its own where it is otherwise."""
    students, teachers = trainings[-1], [one for one in trainings if one.model == TEACHER]
    own = _AS_IT_IS if {choice["train"]["epochs"], choice["train"]["batch_size"]} == {None} else ""
    yield f"training: {_length(students)}{own} (EPOCHS=, BATCH=)"
    yield from (f"training of the teacher: {_length(one)}" for one in teachers if _length(one) != _length(students))


def _length(training: ExpectedTraining) -> str:
    epochs = f"{training.epochs:.1f}".removesuffix(".0")
    return f"{epochs} epochs, {training.iterations:,} iterations of {training.batch_size} images"


def _held(choice: Mapping[str, Any], training: ExpectedTraining) -> str:
    """Which settings of the recipes hold, and which have others in their place."""
    export, train = choice["export"], choice["train"]
    settings = {"size": choice["input_size"], "epochs": train["epochs"], "batch": train["batch_size"]}
    held = [name for name, value in settings.items() if value is None]
    thresholds = f"score {export['score_threshold']:g} and NMS {export['nms_iou_threshold']:g}"
    kept = [*held, training.optimizer, "schedule", "augmentation", "losses", f"thresholds ({thresholds})"]
    replaced = [name for name, value in settings.items() if value is not None]
    batch = "; the learning rate goes with the batch" if "batch" in replaced else ""
    return f"of the recipe: {', '.join(kept)}" + (f"; set here: {', '.join(replaced)}{batch}" if replaced else "")


def _times(trainings: Sequence[ExpectedTraining], device: str) -> Iterator[str]:
    teachers = [one for one in trainings if one.model == TEACHER]
    students = [one for one in trainings if one.model != TEACHER]
    each = ", ".join(f"{one.model} {_span([one])} ({one.step.wall:.2f} s a step)" for one in students)
    parts = [f"teacher {_span([one])} ({one.step.wall:.2f} s a step)" for one in teachers]
    parts.append(f"students {_span(students)}: {each}")
    where = device if device != "cpu" else f"cpu, threads: {trainings[-1].threads}"
    yield f"time: {_span(trainings)} of training here ({where}); {'; '.join(parts)}"
    if any(one.step.is_disturbed for one in trainings):
        slower = max(one.step.wall / one.step.computing for one in trainings)
        yield (
            f"these times are of a busy machine: a step took up to {slower:.1f} times as long as it would alone. The "
            "lower ones are without the other work; for surer ones, the same command when it is over"
        )


def _span(trainings: Iterable[ExpectedTraining]) -> str:
    listed = [*trainings]
    least = duration(sum(one.least_seconds for one in listed))
    most = duration(sum(one.most_seconds for one in listed))
    if least == most:
        return f"about {least}"
    same_unit = least.count(" ") == 1 and least.rpartition(" ")[2] == most.rpartition(" ")[2] and most.count(" ") == 1
    return f"{least.rpartition(' ')[0] if same_unit else least} to {most}"


def _shortened(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
