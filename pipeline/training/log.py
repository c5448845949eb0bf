"""The training log: JSON lines that survive a kill and carry on after a resume without double entries."""

import json
from pathlib import Path
from typing import Any

from deploy.runtime.errors import shown
from deploy.runtime.scratch import name_write
from deploy.runtime.text_files import UnreadableText, is_finite, is_whole, parse_json, read_text
from pipeline.storage import write_atomic
from pipeline.training_records import TrainingPoint, ValidationPoint

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
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")
        except OSError as error:
            name_write(error, self.path)
            raise

    def entries(self) -> list[dict[str, Any]]:
        """All lines but the end of the file that a kill cut short.

        Raises:
            UnreadableText: a whole line is no entry, or the file no text.
        """
        if not self.path.exists():
            return []
        *whole, _ = read_text(self.path).split("\n")
        return [_entry(line) for line in whole]

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

    def planned_iterations(self) -> int | None:
        """Iterations of the whole schedule, which every validation is logged with; none before the first one.

        Raises:
            UnreadableText: a validation was logged without them.
        """
        planned = [entry.get("planned_iterations") for entry in self.entries() if "val_ap" in entry]
        if not all(is_whole(iterations) and iterations > 0 for iterations in planned):
            raise UnreadableText(f"{self.path}: a validation without planned_iterations")
        return planned[-1] if planned else None


def _entry(line: str) -> dict[str, Any]:
    """An entry as :class:`TrainingLog` writes them; raises :class:`UnreadableText` where the line is none."""
    entry = parse_json(line)
    counted = isinstance(entry, dict) and is_whole(entry.get("iteration")) and is_finite(entry.get("seconds"))
    if not counted or min(entry["iteration"], entry["seconds"]) < 0:
        raise UnreadableText(f"a line without iteration and seconds: {shown(line)}")
    return entry
