"""The AP of an artefact's graph on a slice of a split: what decides between graphs before anything is tested."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.backends import resolve_threads
from deploy.runtime.backends.ort import open_cpu
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import category_ids
from deploy.runtime.detector import Detector
from deploy.runtime.images import Image, read_image
from deploy.runtime.scratch import scratch_folder
from deploy.runtime.split import Split
from pipeline.datasets.prepared import find_split
from pipeline.errors import DatasetError
from pipeline.evaluation.accuracy import evaluate_detections


@dataclass(frozen=True)
class ValidationSlice:
    """Some images of a split, decoded, and their part of its annotations."""

    split: str
    images: tuple[Image, ...]
    content: Split

    @classmethod
    def read(cls, dataset_dir: Path, split: str, count: int) -> "ValidationSlice":
        """Read ``count`` images, evenly spread over the split, of a prepared data set.

        Raises:
            DatasetError: the data set has no such split, or the split has no images.
            ImageError: an image cannot be read.
        """
        annotations, image_root = find_split(dataset_dir, split)
        content = Split.read(annotations).spaced(count)
        if not content.images:
            raise DatasetError(f"{annotations}: no images to measure int8 on")
        return cls(split, tuple(read_image(image_root / name) for name in content.files), content)

    def ap(self, model: onnx.ModelProto, spec: ArtefactSpec) -> float | None:
        """COCO AP of an artefact's graph under ONNX Runtime, in points; ``None`` where there is no box to find."""
        with scratch_folder("validation") as scratch:
            artefact = scratch / "model.onnx"
            onnx.save(model, artefact)
            ids = category_ids(spec.classes, self.content.categories, spec.model)
            with Detector(spec, open_cpu(artefact, spec, resolve_threads(0))) as detector:
                pairs = zip(self.content.images, self.images, strict=True)
                results = DetectionColumns.joined(((entry["id"], detector(image)) for entry, image in pairs), ids)
            return evaluate_detections(self.content, results, self.split).numbers.ap
