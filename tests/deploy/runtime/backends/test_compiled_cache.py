"""Compiled models kept in a folder: the same boxes, found again, and never from a damaged file."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import openvino
import pytest

from deploy.runtime.backends.compiled_cache import FOLDER_VARIABLE, key_of
from deploy.runtime.backends.openvino_cpu import open_bf16, open_cpu
from tests.deploy import stock


class Compilations:
    """Counts what OpenVINO compiles and what it takes from bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compiled = self.imported = 0
        compile_model, import_model = openvino.Core.compile_model, openvino.Core.import_model

        def counted_compile(core: openvino.Core, *arguments: object) -> object:
            self.compiled += 1
            return compile_model(core, *arguments)

        def counted_import(core: openvino.Core, *arguments: object) -> object:
            self.imported += 1
            return import_model(core, *arguments)

        monkeypatch.setattr(openvino.Core, "compile_model", counted_compile)
        monkeypatch.setattr(openvino.Core, "import_model", counted_import)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def boxes(artefact: Path, spec, images: int = 2) -> list[np.ndarray]:
    size = (images, spec.input_height, spec.input_width, 3)
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    found = open_cpu(artefact, spec, 1).run(noise)
    return [found.boxes, found.scores, found.labels, found.num_dets]


def test_without_a_folder_nothing_is_kept(artefact: Path, spec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    counts = Compilations(monkeypatch)
    open_cpu(artefact, spec, 1)
    open_cpu(artefact, spec, 1)
    assert (counts.compiled, counts.imported) == (2, 0)


def test_the_second_opening_compiles_nothing_and_gives_the_same_boxes(
    artefact: Path, spec, folder: Path, monkeypatch
) -> None:
    counts = Compilations(monkeypatch)
    first = boxes(artefact, spec)
    assert (counts.compiled, counts.imported) == (2, 0)  # for one image, and for any number
    second = boxes(artefact, spec)
    assert (counts.compiled, counts.imported) == (2, 2)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert len(list(folder.glob("*.compiled"))) == 2
    assert {path.suffix for path in folder.iterdir()} == {".compiled"}


def test_bf16_is_another_file_and_says_the_same_of_itself(exported_gfl: Path, folder: Path) -> None:
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bf16")
    open_cpu(exported_gfl, stock.spec(10), 1)
    compiled, kept = (open_bf16(exported_gfl, stock.spec(10), 1) for _ in range(2))
    assert len(list(folder.iterdir())) == 2
    assert (kept.name, kept.precision) == (compiled.name, compiled.precision) == ("openvino-bf16", "bf16")
    images = stock.noise_images(1).numpy()
    assert np.array_equal(kept.run(images).boxes, compiled.run(images).boxes)


@pytest.mark.parametrize("damage", ["cut", "byte", "empty"])
def test_a_damaged_file_is_compiled_anew(
    artefact: Path, spec, folder: Path, damage: str, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_cpu(artefact, spec, 1)
    (kept,) = folder.iterdir()
    content = kept.read_bytes()
    # OpenVINO itself takes a changed byte of a weight for sound.
    changed = content[:-1000] + bytes([content[-1000] ^ 255]) + content[-999:]
    kept.write_bytes({"cut": content[:-1], "byte": changed, "empty": b""}[damage])
    counts = Compilations(monkeypatch)
    with caplog.at_level(logging.WARNING):
        open_cpu(artefact, spec, 1)
    assert (counts.compiled, counts.imported) == (1, 0)
    assert f"{kept}: damaged; compiled anew" in caplog.text
    written = kept.read_bytes()
    assert hashlib.sha256(written[32:]).digest() == written[:32]


def test_what_openvino_does_not_take_is_compiled_anew(artefact: Path, spec, folder: Path, monkeypatch) -> None:
    open_cpu(artefact, spec, 1)
    (kept,) = folder.iterdir()
    kept.write_bytes(hashlib.sha256(b"no model").digest() + b"no model")
    counts = Compilations(monkeypatch)
    open_cpu(artefact, spec, 1)
    assert (counts.compiled, counts.imported) == (1, 1)


def test_other_threads_are_another_model(artefact: Path, spec, folder: Path) -> None:
    assert [open_cpu(artefact, spec, threads).threads for threads in (1, 2, 1)] == [1, 2, 1]
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_written_costs_a_warning(
    artefact: Path, spec, tmp_path: Path, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert len(boxes(artefact, spec, 1)) == 4
    assert "not kept" in caplog.text


def test_a_key_is_of_content_and_conditions(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for path, content in ((one, b"a"), (same, b"a"), (other, b"b")):
        path.write_bytes(content)
    assert key_of(one, batch=1) == key_of(same, batch=1)
    assert len({key_of(one, batch=1), key_of(other, batch=1), key_of(one, batch=None), key_of(one, batch=1, x=2)}) == 4
