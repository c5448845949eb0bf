"""How long a training that stopped in the middle of an epoch takes to know which images come next."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from mmengine.dataset import DefaultSampler

from benchmarks.scale.synthetic import images_of
from pipeline.training.draws import NumberedBatches

from mmdet.datasets.samplers import AspectRatioBatchSampler  # isort: skip

_BATCH = 16


class _Sizes:
    """A data set that knows its images' sizes."""

    def __init__(self, images: int) -> None:
        self._entries = images_of(images)

    def __len__(self) -> int:
        return len(self._entries)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return self._entries[index]


def prepare(images: int) -> Callable[[], object]:
    """COCO's own order: shuffled, in batches of upright or of wide images."""
    batches = NumberedBatches(DefaultSampler(_Sizes(images), seed=0), _BATCH, within={"type": AspectRatioBatchSampler})
    half = images // _BATCH // 2
    batches.begin_at(half)
    return lambda: list(islice(batches, 1))
