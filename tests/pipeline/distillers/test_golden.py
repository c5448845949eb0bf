"""The golden files: what goes in comes out, and all of them stay small."""

from pathlib import Path

import numpy as np

from tests.pipeline.distillers import golden

LIMIT = 12e6


def test_arrays_come_back_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(3, 4)).astype(np.float32)
    arrays = {
        "exact": exact,
        "halves": exact.astype(np.float16).astype(np.float32),
        "half": exact.astype(np.float16),
        "huge": np.float32([1e30, -0.0]),
        "image": rng.integers(0, 255, (3, 2, 5), dtype=np.uint8),
        "labels": np.zeros(0, np.int64),
        "scale": np.float32(1.5).reshape(()),
    }
    golden.write(tmp_path / "case.xz", {"loss": [0.1, None]}, arrays)
    record, back = golden.read(tmp_path / "case.xz")
    assert record == {"loss": [0.1, None]}
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == array.tobytes()


def test_the_golden_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in golden.DATA.rglob("*") if path.is_file()) < LIMIT
