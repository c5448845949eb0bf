from pathlib import Path

import pytest

from deploy.runtime.errors import ArtefactError
from deploy.timing.compare import Contender, Times, compare, main, parse_contender, reference_first, tied
from deploy.timing.turns import Ratio, Schedule
from tests.deploy.tiny import write_artefact


def test_the_first_is_the_reference_and_everybody_is_measured(artefact: Path, red_box) -> None:
    contenders = [Contender(str(artefact), "onnxruntime"), Contender(str(artefact), "openvino")]
    found = compare(contenders, [red_box(32, 48, (0, 0, 9, 9))], 2, 1, Schedule(rounds=3, calls=2))
    assert [each.contender for each in found.compared] == contenders
    assert [each.backend for each in found.compared] == ["onnxruntime", "openvino"]
    first = found.compared[0]
    assert (first.ratio.median, first.ratio.low, first.ratio.high) == (1, 1, 1)
    assert [group.rounds for group in found.groups] == [3]
    assert found.groups[0].reference == first.milliseconds
    assert all(
        each.milliseconds > 0 and each.ratio.low <= each.ratio.median <= each.ratio.high for each in found.compared
    )


def test_real_groups_are_tied_by_a_reference_that_is_in_each(tmp_path: Path, red_box) -> None:
    files = [write_artefact(tmp_path / f"{number}.onnx") for number in range(6)]
    contenders = [Contender(str(path), "openvino" if path.stem == "4" else "onnxruntime") for path in files]
    images = [red_box(32, 48, (0, 0, 9, 9))]
    found = compare(contenders, images, 1, 1, Schedule(rounds=4, calls=1), sessions=3, candidates=3)
    reference = found.compared[0]
    assert reference.contender in contenders[:3]
    assert reference.ratio == Ratio(1, 1, 1)
    assert sorted(each.contender.artefact for each in found.compared) == [str(path) for path in files]
    assert [each.group for each in found.compared] == [0, 0, 0, 1, 1, 2]
    assert [group.rounds for group in found.groups] == [4, 4, 4]
    lowest, highest = (choose(group.reference for group in found.groups) for choose in (min, max))
    assert lowest <= reference.milliseconds <= highest


def times(place: int, *rounds: float) -> Times:
    return Times(place, "onnxruntime", "fp32", 1, list(rounds))


def test_a_machine_that_is_slower_in_one_group_is_taken_out_through_the_reference() -> None:
    contenders = [Contender(f"{place}.onnx", "onnxruntime") for place in range(4)]
    first = reference_first([times(0, 9, 9, 9), times(1, 4, 5, 6), times(2, 2, 2, 2)], candidates=2)
    assert [each.place for each in first] == [1, 0, 2]
    alone = tied(contenders, [first])
    assert [each.milliseconds for each in alone] == [5, 9, 2]
    assert [each.ratio.median for each in alone] == [1, pytest.approx(5 / 9), 2.5]
    # Twice as slow: 10 ms for the reference, so that 20 ms are half its speed. Of the reference 7 ms is the median.
    found = tied(contenders, [first, [times(1, 8, 10, 12), times(3, 16, 20, 24)]])
    assert [(each.contender.artefact[0], each.group) for each in found] == [("1", 0), ("0", 0), ("2", 0), ("3", 1)]
    assert [each.milliseconds for each in found] == pytest.approx([7, 7 / (5 / 9), 7 / 2.5, 14])
    assert found[-1].ratio == Ratio(0.5, 0.5, 0.5)


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


def test_a_missing_artefact_is_told_apart(artefact: Path, red_box) -> None:
    contenders = [Contender("none.onnx", None), Contender(str(artefact), "onnxruntime")]
    found = compare(contenders, [red_box(8, 8, (0, 0, 2, 2))], 1, 1, Schedule(1, 1))
    assert [each.contender for each in found.compared] == contenders[1:]
    ((refused, error),) = ((each.contender, each.error) for each in found.refused)
    assert refused == contenders[0]
    assert isinstance(error, ArtefactError)
    assert "none.onnx" in str(error)
