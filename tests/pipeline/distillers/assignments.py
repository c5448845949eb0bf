"""Equal positives for two computations whose roundings differ."""

from typing import Any

import pytest

from pipeline.detectors import FAMILIES, Assignment


def keep_first_assignment(student: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let methods be given the assignment of the first batch in all that follow.

    PAA and DDOD choose positives by their own predictions, so that a rounding may choose others.
    """
    adapter = FAMILIES[type(student.bbox_head).__name__]
    assigned, found = adapter.assignment, []

    def assignment(*given: Any) -> Assignment:
        found.append(assigned(*given))
        return found[0]

    monkeypatch.setattr(adapter, "assignment", assignment)
