from pathlib import Path

import pytest

from deploy.runtime.errors import ArtefactError
from deploy.timing.compare import Contender, compare, main, parse_contender


def test_the_first_is_the_reference_and_everybody_is_measured(artefact: Path, red_box) -> None:
    contenders = [Contender(str(artefact), "onnxruntime"), Contender(str(artefact), "openvino")]
    found = compare(contenders, [red_box(32, 48, (0, 0, 9, 9))], batch_size=2, threads=1, rounds=3, calls=2)
    assert [each.contender for each in found] == contenders
    assert [each.backend for each in found] == ["onnxruntime", "openvino"]
    assert (found[0].ratio.median, found[0].ratio.low, found[0].ratio.high) == (1, 1, 1)
    assert all(each.milliseconds > 0 and each.ratio.low <= each.ratio.median <= each.ratio.high for each in found)


@pytest.mark.parametrize(
    ("text", "artefact", "backend"),
    [
        ("a.onnx", "a.onnx", None),
        ("a.onnx@openvino", "a.onnx", "openvino"),
        ("me@home/a.onnx", "me@home/a.onnx", None),
        ("me@home/a.onnx@openvino-bf16", "me@home/a.onnx", "openvino-bf16"),
        ("@openvino", "@openvino", None),
    ],
)
def test_a_backend_follows_an_at_sign(text: str, artefact: str, backend: str | None) -> None:
    assert parse_contender(text) == Contender(artefact, backend)


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process of the tests stays on every core."""
    asked: list[int] = []
    monkeypatch.setattr("deploy.timing.compare.pin", asked.append)
    return asked


def test_the_command_prints_a_line_for_each(
    artefact: Path, dataset_dir: Path, capsys: pytest.CaptureFixture[str], unpinned: list[int]
) -> None:
    main([f"{artefact}@onnxruntime", f"{artefact}@openvino", "--images", str(dataset_dir / "images/test"),
          "--rounds", "2", "--calls", "1", "--threads", "1"])  # fmt: skip
    title, first, second = capsys.readouterr().out.splitlines()
    assert title.split()[:2] == ["backend", "precision"]
    assert first.split()[:3] == [str(artefact), "onnxruntime", "fp32"]
    assert first.endswith("1.00  1.00 to 1.00")
    assert second.split()[1] == "openvino"
    assert unpinned == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx", "--images", "."], "no image files"),
        (["none.onnx", "--images", "PHOTOS"], r"none\.onnx"),
        (["ARTEFACT@onnxruntime-cuda", "--images", "PHOTOS"], "CUDA"),
    ],
)
def test_what_cannot_run_is_said(
    arguments: list[str], message: str, artefact: Path, dataset_dir: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, unpinned: list[int],
) -> None:  # fmt: skip
    photos = str(dataset_dir / "images/test")
    monkeypatch.chdir(tmp_path)
    filled = [text.replace("ARTEFACT", str(artefact)).replace("PHOTOS", photos) for text in arguments]
    with pytest.raises(SystemExit, match=message):
        main(filled)


def test_a_missing_artefact_is_named(red_box) -> None:
    with pytest.raises(ArtefactError, match=r"none\.onnx"):
        compare([Contender("none.onnx", None)], [red_box(8, 8, (0, 0, 2, 2))], 1, 1, 1, 1)
