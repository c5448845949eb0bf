"""Training curves for DVC: small whatever the length of the training."""

import csv
from pathlib import Path

import pytest

from pipeline.training.curves import write_curves
from pipeline.training_records import TrainingPoint, TrainingRecord, ValidationPoint


def record(points: list[TrainingPoint], validation: list[ValidationPoint]) -> TrainingRecord:
    measured = dict.fromkeys(("iterations", "batch_size", "best_iteration", "peak_memory_bytes", "resumed"), 1)
    measured |= dict.fromkeys(("seconds", "images_per_second"), 1.0)
    words = dict.fromkeys(("model", "method", "device", "precision"), "x")
    return TrainingRecord(**measured, **words, best_val_ap=None, points=points, validation=validation)


def written(folder: Path, of: TrainingRecord | None) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    losses, validation = folder / "losses.csv", folder / "validation.csv"
    write_curves(of, losses, validation)
    return tuple(list(csv.DictReader(path.read_text().splitlines())) for path in (losses, validation))


def test_a_short_training_is_written_as_it_was_logged(tmp_path: Path) -> None:
    points = [
        TrainingPoint(iteration=10, learning_rate=0.1, losses={"loss": 2.0}),
        TrainingPoint(iteration=20, learning_rate=0.2, losses={"loss": 1.0, "loss_kd": 0.5}),
    ]
    validation = [ValidationPoint(iteration=20, ap=None), ValidationPoint(iteration=40, ap=33.5)]
    losses, found = written(tmp_path, record(points, validation))
    assert losses == [
        {"iteration": "10", "learning_rate": "0.1", "loss": "2.0", "loss_kd": ""},
        {"iteration": "20", "learning_rate": "0.2", "loss": "1.0", "loss_kd": "0.5"},
    ]
    assert found == [{"iteration": "20", "ap": ""}, {"iteration": "40", "ap": "33.5"}]


def test_a_long_one_has_few_points_its_mean_and_its_best_validation(tmp_path: Path) -> None:
    count = 9007
    points = [
        TrainingPoint(iteration=i, learning_rate=0.1, losses={"loss": float(i % 31)}) for i in range(1, count + 1)
    ]
    validation = [ValidationPoint(iteration=i, ap=99.0 if i == 777 else i / count) for i in range(1, 1001)]
    losses, found = written(tmp_path, record(points, validation))
    assert 250 < len(losses) <= 300
    assert 200 < len(found) <= 300
    assert losses[-1]["iteration"] == str(count)
    whole = sum(float(row["loss"]) for row in losses[:-1]) / (len(losses) - 1)
    assert whole == pytest.approx(15.0, abs=0.05)
    assert {"iteration": "777", "ap": "99.0"} in found


def test_what_was_not_trained_here_has_no_points(tmp_path: Path) -> None:
    assert written(tmp_path, None) == ([], [])
    assert (tmp_path / "losses.csv").read_text() == "iteration,learning_rate,loss\n"
