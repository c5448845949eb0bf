import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.prediction.predict import main
from deploy.runtime.file_lock import FileLock
from tests.deploy.clips import write_clip


@pytest.fixture
def photos(tmp_path: Path, red_box: Callable[..., np.ndarray]) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    cv2.imwrite(str(folder / "a.png"), red_box(64, 96, (0, 0, 80, 60)))
    cv2.imwrite(str(folder / "b.PNG"), red_box(64, 96, (0, 0, 96, 64)))
    cv2.imwrite(str(folder / "deeper/a.jpg"), red_box(64, 96, (0, 0, 8, 8)))
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_folder_gives_pictures_json_and_a_summary(artefact: Path, photos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    main([str(artefact), str(photos), "--out", str(out), "--backend", "onnxruntime", "--threads", "1", "--batch", "2"])
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "a_2.jpg", "b.jpg", "detections.json"]
    content = json.loads((out / "detections.json").read_text())
    assert [Path(image["file_name"]).relative_to(photos).as_posix() for image in content["images"]] == [
        "a.png",
        "b.PNG",
        "deeper/a.jpg",
    ]
    assert content["categories"] == [{"id": 1, "name": "crown"}, {"id": 2, "name": "blob"}]
    # The score is the share of the canvas that is red: 0.78, 1.0 and 0.01, the last one below --score.
    assert [(a["id"], a["image_id"], a["category_id"], a["bbox"]) for a in content["annotations"]] == [
        (1, 1, 2, [0, 0, 80, 60]),
        (2, 2, 2, [0, 0, 96, 64]),
    ]
    assert content["annotations"][0]["score"] == pytest.approx(80 * 60 / (96 * 64), abs=1e-6)
    assert cv2.imread(str(out / "a.jpg")).shape == (64, 96, 3)
    assert "3 images, 2 detections, 0 skipped; " in (line := capsys.readouterr().out)
    assert "images/s" in line
    assert "onnxruntime" in line
    assert "1 threads" in line


def test_bad_files_are_named_and_skipped_and_the_exit_status_says_so(artefact, photos, tmp_path, capsys) -> None:
    (photos / "cut.png").write_bytes((photos / "a.png").read_bytes()[:60])
    (photos / "text.png").write_text("no picture")
    arguments = [str(artefact), str(photos), str(tmp_path / "gone.jpg"), "--out", str(tmp_path / "out"), "--batch", "2"]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, str)
    for name in ("cut.png", "text.png", "gone.jpg"):
        assert name in caught.value.code
    captured = capsys.readouterr()
    assert "3 images, 2 detections, 3 skipped" in captured.out
    assert "skipped: " in captured.err
    assert "text.png: not an image" in captured.err
    assert len(json.loads((tmp_path / "out/detections.json").read_text())["images"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.onnx", "IMAGES"], "gone.onnx: cannot be read"),
        (["ARTEFACT", "IMAGES", "--backend", "tensorboard"], "no such backend; known: "),
        (["ARTEFACT", "EMPTY"], "no image or video files in this folder"),
    ],
)
def test_what_cannot_run_says_why(arguments: list[str], message: str, artefact, photos, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    places = {"ARTEFACT": str(artefact), "IMAGES": str(photos), "EMPTY": str(tmp_path / "empty")}
    with pytest.raises(SystemExit, match=message):
        main([places.get(argument, argument) for argument in arguments] + ["--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--score", "1.5", "1.5 is not between 0 and 1"),
        ("--score", "nan", "nan is not between 0 and 1"),
        ("--score", "high", "high is no number"),
        ("--threads", "-1", "-1 is below 0"),
        ("--batch", "0", "0 is below 1"),
        ("--batch", "1.5", "1.5 is no whole number"),
        ("--every", "0", "0 is below 1"),
    ],
)
def test_numbers_out_of_range_are_refused(option, value, message, artefact: Path, photos: Path, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(artefact), str(photos), option, value])
    assert caught.value.code == 2
    assert f"argument {option}: {message}" in capsys.readouterr().err


def test_options_may_stand_between_the_files(artefact: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main([str(artefact), "--threads", "1", str(photos / "a.png"), "--out", str(out), str(photos / "b.PNG")])
    assert len(json.loads((out / "detections.json").read_text())["images"]) == 2


def test_results_that_cannot_be_written_say_so(artefact: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="file: the results cannot be written"):
        main([str(artefact), str(photos), "--out", str(tmp_path / "file")])


def test_results_that_do_not_fit_say_so_and_earlier_ones_stay(artefact: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main([str(artefact), str(photos / "a.png"), "--out", str(out)])
    earlier = {path.name: path.read_bytes() for path in out.iterdir()}
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(SystemExit, match=r"out: the results cannot be written: .*larger than one may be here"):
            main([str(artefact), str(photos / "a.png"), "--out", str(out)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == earlier


def test_score_below_the_artefacts_own_is_noted(artefact: Path, photos: Path, tmp_path: Path, capsys) -> None:
    main([str(artefact), str(photos / "a.png"), "--out", str(tmp_path / "out"), "--score", "0.01"])
    assert "no detection below 0.05" in capsys.readouterr().err


def test_a_second_run_into_one_folder_is_refused(artefact: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / ".predict.lock"), pytest.raises(SystemExit) as caught:
        main([str(artefact), str(photos), "--out", str(out)])
    assert "out: another run writes there (pid " in str(caught.value.code)
    assert "or choose another --out" in str(caught.value.code)
    assert [path.name for path in out.iterdir()] == []
    main([str(artefact), str(photos), "--out", str(out)])


def test_a_killed_run_leaves_no_result_and_the_next_one_clears_up(artefact: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import os, sys\nfrom deploy.prediction import prediction\nfrom deploy.prediction.predict import main\n"
        "prediction.draw_on = lambda *_: os.kill(os.getpid(), 9)\nmain(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, str(artefact), str(photos), "--out", str(out), "--backend", "onnxruntime"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == -signal.SIGKILL
    left = sorted(path.name for path in out.iterdir())
    assert len(left) == 2
    assert all(name.startswith(".predict.") for name in left)
    main([str(artefact), str(photos), "--out", str(out), "--backend", "onnxruntime"])
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "a_2.jpg", "b.jpg", "detections.json"]


def test_planted_links_are_not_written_through(artefact: Path, photos: Path, tmp_path: Path) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    victim.write_text("precious")
    for name in (".detections.json.part", ".a.jpg.part", "a.jpg", "detections.json"):
        (out / name).symlink_to(victim)
    main([str(artefact), str(photos), "--out", str(out), "--backend", "onnxruntime"])
    assert victim.read_text() == "precious"
    assert not (out / "a.jpg").is_symlink()


@pytest.mark.parametrize("stem", ["x" * 251, "é" * 125, "树" * 83 + "ab"])
def test_names_as_long_as_they_can_be_are_taken(
    artefact: Path, red_box: Callable[..., np.ndarray], tmp_path: Path, stem: str
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / f"{stem}.png").write_bytes(cv2.imencode(".png", red_box(64, 96, (0, 0, 80, 60)))[1].tobytes())
    out = tmp_path / "out"
    main([str(artefact), *map(str, folders), "--out", str(out), "--backend", "onnxruntime"])
    pictures = [entry["picture"] for entry in json.loads((out / "detections.json").read_text())["images"]]
    assert len(set(pictures)) == 2
    assert all((out / name).is_file() for name in pictures)


def test_pipes_and_devices_are_skipped_and_named(artefact: Path, photos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(photos / "inside.png")
    odd = [str(tmp_path / "pipe.png"), str(tmp_path / "pipe.mp4"), "/dev/zero"]
    with pytest.raises(SystemExit, match="could not read"):
        main([str(artefact), *odd, str(photos), "--out", str(out), "--backend", "onnxruntime", "--threads", "1"])
    said = capsys.readouterr().err
    assert said.count("not a regular file") == 3
    assert len(json.loads((out / "detections.json").read_text())["images"]) == 3


def test_no_escape_sequence_in_a_name_reaches_the_terminal(
    artefact: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos / "\x1b]0;owned\x07\u202e"
    folder.mkdir()
    (photos / "a.png").rename(folder / "sound\x1b[2J.png")
    (folder / "bad\n\x9b31m.png").write_text("no image")
    write_clip(folder / "clip\r\x1b[31m.mp4", frames=2)
    out = tmp_path / "out\x1b[0m"
    with pytest.raises(SystemExit) as ended:
        main([str(artefact), str(folder), "--out", str(out), "--backend", "onnxruntime", "--threads", "1"])
    said = capsys.readouterr()
    for text in (said.out, said.err, str(ended.value)):
        shown = text.replace("\r", "").replace("\x1b[A", "")  # those are the bars' own
        assert not set(shown) & set("\x1b\x07\x9b\u202e")
    assert r"out\x1b[0m" in said.out
    assert r"bad\n\x9b31m.png" in str(ended.value)
    for wrong in (["\x1b[2J.onnx", str(folder)], [str(artefact), str(tmp_path / "\x1b[2J.png"), "--backend", "\x1b["]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert "\x1b" not in str(ended.value)


def test_a_bug_keeps_its_traceback_and_shows_no_escape_sequence(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom deploy.prediction import predict\n"
        "def fail(*_): raise RuntimeError(sys.argv[1])\n"
        "predict.find_sources = fail\npredict.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "a\x1b[2J.onnx", "b.png"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "\x1b" not in done.stderr
