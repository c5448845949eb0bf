"""Which of the formats a folder of the user's is in, and the section of ``params.yaml`` that reads it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.dataset_settings import EMBEDDED, DataSettings
from pipeline.datasets.coco_search import category_names, find_coco
from pipeline.datasets.findings import Findings
from pipeline.datasets.voc_search import find_voc
from pipeline.datasets.yolo_layout import find_layout
from pipeline.datasets.yolo_search import find_yolo
from pipeline.errors import DatasetError

Section = dict[str, Any]
_FINDERS: Mapping[str, Callable[[Path], Section | str]] = {
    "coco_dir": find_coco,
    "yolo_dir": find_yolo,
    "voc_dir": find_voc,
}
FORMATS = tuple(_FINDERS)


def detect(root: Path, name: str | None = None) -> DataSettings:
    """The settings that read a folder: format, root and splits, and nothing else that has a default.

    Args:
        root: the folder, as it is to stand in ``params.yaml``.
        name: one of ``FORMATS``, where the user says which; None: the only one that fits.

    Raises:
        DatasetError: there is no such folder, no format fits or several do; the message says what was looked for.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give the folder of your data set with --data (make: DATA=...)")
    looked = {each: _FINDERS[each](root) for each in ([name] if name else FORMATS)}
    fitting = {each: section for each, section in looked.items() if not isinstance(section, str)}
    if not fitting:
        reasons = "\n".join(f"  {each}: {reason}" for each, reason in looked.items())
        raise DatasetError(f"{root}: no data set of a known format; what was looked for:\n{reasons}")
    if len(fitting) > 1:
        raise DatasetError(
            f"{root}: could be {' or '.join(fitting)}; say which with --format (make: FORMAT={next(iter(fitting))})"
        )
    ((each, section),) = fitting.items()
    return DataSettings.model_validate({"name": each, each: {"root": root, **section}})


def class_names(settings: DataSettings) -> tuple[str, ...]:
    """The classes of a folder in their order, where its annotations say them in one place; of VOC's only if set.

    Of an embedded data set none, as it is not made yet.

    Raises:
        DatasetError: a json holds no categories.
    """
    if settings.name == "coco_dir":
        splits = settings.coco_dir.named_splits()
        # val has the same ones in a smaller file.
        return category_names(settings.coco_dir.root / (splits.get("val") or splits["train"]).annotations)
    if settings.name == "yolo_dir":
        names = find_layout(settings.yolo_dir, Findings("")).names
        return tuple(name for _, name in sorted(names.items()))
    return tuple(settings.voc_dir.classes or ()) if settings.name == "voc_dir" else ()


def split_names(settings: DataSettings) -> frozenset[str]:
    """The splits that a folder has of its own; an embedded data set has them all."""
    if settings.name in EMBEDDED:
        return frozenset(("train", "val", "test"))
    if settings.name == "yolo_dir":
        return frozenset(find_layout(settings.yolo_dir, Findings("")).splits)
    chosen = settings.coco_dir if settings.name == "coco_dir" else settings.voc_dir
    return frozenset(chosen.named_splits())
