"""The YAML at the top of a model card: what the Hugging Face Hub sorts, filters and shows models by.

Keys: the Hub's documentation, "Model Cards", and its specification of ``model-index``.
"""

from typing import Any

import yaml

from pipeline.report.cards import Card, MeasuredFile

_DIGITS = 2
_COCO = {"mAP": "ap", "mAP50": "ap50", "mAP75": "ap75"}


def front_matter(card: Card) -> str:
    """The metadata between its two lines ``---``; no text in it is read as YAML."""
    text = yaml.safe_dump(metadata(card), allow_unicode=True, sort_keys=False, width=float("inf"))
    return f"---\n{text}---\n"


def metadata(card: Card) -> dict[str, Any]:
    """Library, task, tags, licence and data set where they are known, and the AP of every file that was measured."""
    stated = card.results.params.report.card
    return {
        **({"license": stated.licence} if stated.licence else {}),
        "library_name": "onnx",
        "pipeline_tag": "object-detection",
        "tags": _tags(card),
        **({"datasets": [stated.dataset]} if stated.dataset else {}),
        "metrics": ["mAP"],
        "model-index": [{"name": card.model.name, "results": _results(card)}],
    }


def _tags(card: Card) -> list[str]:
    methods = card.methods
    return ["object-detection", "onnx", *(["knowledge-distillation"] if methods else []), *map(str.lower, methods)]


def _results(card: Card) -> list[dict[str, Any]]:
    """One entry, as all files were measured on one split; the file that ships comes first, with AP50 and AP75."""
    measured = sorted(card.measured, key=lambda item: not item.ships)
    metrics = [
        metric
        for item in measured
        for kind, field in _COCO.items()
        if (item.ships or kind == "mAP") and (metric := _metric(item, kind, field))
    ]
    if not metrics:
        return []
    results, stated = card.results, card.results.params.report.card
    dataset = {
        "type": stated.dataset or results.dataset.name,
        "name": card.data_title,
        "split": card.model.evaluation.accuracy.split,
    }
    return [{"task": {"type": "object-detection"}, "dataset": dataset, "metrics": metrics}]


def _metric(item: MeasuredFile, kind: str, field: str) -> dict[str, Any] | None:
    value = getattr(item.run.accuracy.numbers, field) if item.run.accuracy else None
    if value is None:
        return None
    return {"type": kind, "value": round(value, _DIGITS), "name": f"{kind} of {item.name}, {item.title} (0 to 100)"}
