"""Detections of a split, and the split that they are compared with, through evaluation."""

import json
from pathlib import Path

from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.tree_damage import json_damage
from deploy.runtime.errors import ArtefactError
from pipeline.errors import PipelineError
from pipeline.evaluation.accuracy import evaluate_detections
from pipeline.evaluation.inputs import read_results

_BOXES = ([2, 3, 10, 8], [0.5, 0, 20, 16], [4, 4, 5.5, 2.25])
_SPLIT = {
    "images": [{"id": 1, "file_name": "a.png", "width": 24, "height": 16}],
    "annotations": [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": box, "area": 20, "iscrowd": 0}
        for number, box in enumerate(_BOXES, start=1)
    ],
    "categories": [{"id": 1, "name": "crown"}, {"id": 2, "name": "trunk"}],
}
_RESULTS = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.5} for box in _BOXES]


def _read(path: Path) -> None:
    results, split = path.parent / "detections.json", path.parent / "split.json"
    for other, content in ((results, _RESULTS), (split, _SPLIT)):
        if other != path:
            other.write_text(json.dumps(content), encoding="utf-8")
    evaluate_detections(split, read_results(results), "test", source=str(results))


KIND = Kind(
    samples={
        "results": Sample("detections.json", json.dumps(_RESULTS).encode(), json_damage),
        "split": Sample("split.json", json.dumps(_SPLIT).encode(), json_damage),
    },
    read=_read,
    own=(PipelineError, ArtefactError),
)
