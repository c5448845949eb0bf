"""The training log: JSON lines that survive a kill and carry on after a resume without double entries."""

import json
from pathlib import Path
from typing import Any

from pipeline.records import TrainingPoint, ValidationPoint
from pipeline.storage import write_atomic

FILE_NAME = "log.jsonl"


class TrainingLog:
    """``log.jsonl`` in a work directory: one object a line, flushed at once.

    Every entry has ``iteration`` and ``seconds`` (training time so far, over all resumes).
    """

    def __init__(self, work_dir: Path) -> None:
        self.path = work_dir / FILE_NAME

    def rewind(self, iteration: int) -> None:
        """Forget what was logged after ``iteration`` and a line that a kill cut short; count the resume."""
        if not self.path.exists():
            return
        kept = [entry for entry in self.entries() if entry["iteration"] <= iteration]
        if iteration > 0:
            kept.append({"iteration": iteration, "seconds": kept[-1]["seconds"] if kept else 0.0, "resumed": True})
        write_atomic(self.path, "".join(json.dumps(entry) + "\n" for entry in kept))

    def append(self, entry: dict[str, Any]) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")

    def entries(self) -> list[dict[str, Any]]:
        """All lines but the end of the file that a kill cut short.

        Raises:
            ValueError: a whole line is no entry.
        """
        if not self.path.exists():
            return []
        *whole, _ = self.path.read_text(encoding="utf-8").split("\n")
        entries = [json.loads(line) for line in whole]
        if not all(isinstance(entry, dict) and {"iteration", "seconds"} <= entry.keys() for entry in entries):
            raise ValueError(f"{self.path}: a line without iteration and seconds")
        return entries

    def seconds(self) -> float:
        """Training time so far, in seconds."""
        entries = self.entries()
        return float(entries[-1]["seconds"]) if entries else 0.0

    def resumes(self) -> int:
        """How often the training was resumed."""
        return sum(1 for entry in self.entries() if entry.get("resumed"))

    def points(self) -> list[TrainingPoint]:
        """The logged losses."""
        keys = ("iteration", "learning_rate", "losses")
        return [TrainingPoint(**{key: entry[key] for key in keys}) for entry in self.entries() if "losses" in entry]

    def validation(self) -> list[ValidationPoint]:
        """The logged accuracies on the val split."""
        return [
            ValidationPoint(iteration=entry["iteration"], ap=entry["val_ap"])
            for entry in self.entries()
            if "val_ap" in entry
        ]
