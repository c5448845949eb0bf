"""The limits that docs/security.md promises are those of the code."""

from pathlib import Path

import pytest

from deploy.runtime import images, onnx_file, onnx_tensors
from pipeline import downloads, pickled_weights, transfers, yaml_limits
from pipeline.datasets import pascal_voc, yolo_labels

PAGE = " ".join(Path("docs/security.md").read_text(encoding="utf-8").split())
GIB = 1 << 30


@pytest.mark.parametrize(
    ("value", "promise"),
    [
        (images.MOST_PIXELS, "2^29 pixels by its header (536,870,912)"),
        (images.MOST_BYTES_A_PIXEL, "8 bytes for each of them while it is decoded (4 GiB)"),
        (images.MOST_PASSES, "16 scans over each of them"),
        (images.MOST_FILE_BYTES // GIB, "files of 4 GiB"),
        (transfers.LARGEST_FILE // GIB, "files of 8 GiB"),
        (transfers.LARGEST_FILE // GIB, "8 GiB and the room on the disk"),
        (transfers._LEAST >> 10, "512 KiB in every 120 seconds"),
        (int(transfers._WINDOW_S), "120 seconds"),
        (int(transfers._LONGEST_S / 3600), "6 hours"),
        (transfers._ATTEMPTS, "5 attempts"),
        (transfers._REDIRECTS, "10 redirects"),
        (pickled_weights._ALWAYS >> 20, "eight times the file and 64 MiB"),
        (downloads._LARGEST_MEMBER // GIB, "file read from a wheel | 4 GiB"),
        (pascal_voc.LARGEST_FILE >> 20, "XML file of Pascal VOC | 16 MiB"),
        (yolo_labels.LARGEST_FILE >> 20, "label file of YOLO, XML file of Pascal VOC | 16 MiB"),
        (yaml_limits.LARGEST_TEXT, "262,144 characters"),
        (yaml_limits.MOST_NODES, "20,000 values"),
        (yaml_limits.DEEPEST, "50 levels"),
        (onnx_tensors._DEEPEST, "20 graphs inside each other"),
        (onnx_file._MAX_ENTRY >> 20, "16 MiB for an entry"),
    ],
)
def test_a_limit_is_the_one_that_is_promised(value: int, promise: str) -> None:
    assert promise in PAGE
    assert f"{value:,}" in promise


def test_the_page_is_found_from_the_front_page() -> None:
    assert "docs/security.md" in Path("README.md").read_text(encoding="utf-8")
    assert "security.md" in Path("docs/reliability.md").read_text(encoding="utf-8")
    assert pickled_weights._GROWTH == 8
    assert onnx_file._LARGEST == 2 * GIB - 1
