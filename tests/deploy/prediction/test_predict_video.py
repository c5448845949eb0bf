"""``python -m deploy.predict`` on videos."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import deploy
from deploy.prediction.predict import main
from deploy.prediction.prediction import predict
from deploy.prediction.video import VideoReader
from deploy.runtime.backends import RawDetections
from deploy.runtime.detector import Detector
from deploy.runtime.errors import ArtefactError
from tests.deploy.clips import turned, write_clip

BLUE = 0


def results_in(out: Path) -> dict[str, Any]:
    return json.loads((out / "detections.json").read_text())


def run(*arguments: object) -> None:
    main([*map(str, arguments), "--backend", "onnxruntime", "--threads", "1", "--score", "0.06"])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Seven frames, dark but for a red corner (0, 0, 48, 32): the one detection of the artefact."""
    return write_clip(tmp_path / "clip.mp4", frames=7, rate=12.5, corner=32)


def test_every_frame_has_an_entry_and_a_picture(artefact: Path, clip: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    run(artefact, clip, "--out", out, "--batch", 3)
    content = results_in(out)
    assert content["videos"] == [
        {
            "id": 1,
            "file_name": clip.as_posix(),
            "picture": "clip.mp4",
            "width": 96,
            "height": 64,
            "frame_rate": 12.5,
            "frames": 7,
        }
    ]
    assert content["images"] == [
        {
            "id": number + 1,
            "file_name": clip.as_posix(),
            "video_id": 1,
            "frame": number,
            "timestamp": round(number / 12.5, 3),
            "width": 96,
            "height": 64,
        }
        for number in range(7)
    ]
    assert [item["image_id"] for item in content["annotations"]] == [*range(1, 8)]
    for item in content["annotations"]:
        np.testing.assert_allclose(item["bbox"], [0, 0, 48, 32], atol=2)
    with VideoReader(out / "clip.mp4") as video:
        frames = [frame.image for frame in video]
        assert (video.rate, len(frames), frames[0].shape) == (12.5, 7, (64, 96, 3))
    for frame in frames:
        # A line of one pixel loses half of its colour to the codec.
        assert frame[31:33, 5:40, BLUE].mean() > 50 > 30 > frame[15, 25:40, BLUE].mean()
    assert sorted(path.name for path in out.iterdir()) == ["clip.mp4", "detections.json"]
    assert "0 images, 7 frames of 1 videos, 7 detections, 0 skipped; " in capsys.readouterr().out


def test_batches_of_frames_change_nothing(artefact: Path, clip: Path, tmp_path: Path) -> None:
    for batch in (1, 4):
        run(artefact, clip, "--out", tmp_path / str(batch), "--batch", batch)
    assert results_in(tmp_path / "1") == results_in(tmp_path / "4")
    assert (tmp_path / "1/clip.mp4").read_bytes() == (tmp_path / "4/clip.mp4").read_bytes()


def test_a_stride_keeps_the_tempo(artefact: Path, clip: Path, tmp_path: Path) -> None:
    run(artefact, clip, "--out", tmp_path / "out", "--every", 5)
    content = results_in(tmp_path / "out")
    assert [(image["frame"], image["timestamp"]) for image in content["images"]] == [(0, 0), (5, 0.4)]
    assert (content["videos"][0]["frames"], content["videos"][0]["frame_rate"]) == (7, 12.5)
    with VideoReader(tmp_path / "out/clip.mp4") as video:
        assert (video.rate, len(list(video))) == (2.5, 2)


def test_boxes_are_in_the_pixels_of_the_upright_frame(artefact: Path, clip: Path, tmp_path: Path) -> None:
    run(artefact, turned(clip, 90), "--out", tmp_path / "out", "--every", 7)
    content = results_in(tmp_path / "out")
    assert (content["images"][0]["width"], content["images"][0]["height"]) == (64, 96)
    np.testing.assert_allclose(content["annotations"][0]["bbox"], [32, 0, 32, 48], atol=3)


def test_images_and_videos_of_a_folder_are_one_result(artefact: Path, clip: Path, tmp_path: Path, red_box) -> None:
    cv2.imwrite(str(tmp_path / "clip.png"), red_box(64, 96, (0, 0, 80, 60)))
    write_clip(tmp_path / "clip.avi", frames=2, corner=32)
    run(artefact, tmp_path, "--out", tmp_path / "out")
    content = results_in(tmp_path / "out")
    assert content["images"][0]["picture"] == "clip.jpg"
    assert [(video["id"], video["picture"], video["frames"]) for video in content["videos"]] == [
        (1, "clip.mp4", 2),
        (2, "clip_2.mp4", 7),
    ]
    assert [image.get("video_id") for image in content["images"]] == [None, 1, 1, *[2] * 7]
    assert [image["id"] for image in content["images"]] == [*range(1, 11)]
    for name in ("clip.jpg", "clip.mp4", "clip_2.mp4"):
        assert (tmp_path / "out" / name).exists()


def test_a_source_is_never_written_over(artefact: Path, clip: Path, tmp_path: Path, red_box) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), red_box(64, 96, (0, 0, 80, 60)))
    before = [(tmp_path / name).read_bytes() for name in ("a.jpg", "clip.mp4")]
    run(artefact, tmp_path / "a.jpg", clip, "--out", tmp_path)
    assert [(tmp_path / name).read_bytes() for name in ("a.jpg", "clip.mp4")] == before
    assert (tmp_path / "a_2.jpg").exists()
    assert (tmp_path / "clip_2.mp4").exists()


def test_a_damaged_video_is_kept_as_far_as_it_goes_and_named(artefact: Path, tmp_path: Path, capsys) -> None:
    path = write_clip(tmp_path / "cut.avi", frames=60, rate=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SystemExit, match=r"error: read in part .*cut\.avi"):
        run(artefact, path, "--out", tmp_path / "out")
    (video,) = results_in(tmp_path / "out")["videos"]
    assert 10 < video["frames"] < 50
    assert "of 60 frames could be read" in video["damage"]
    with VideoReader(tmp_path / "out/cut.mp4") as written:
        assert len(list(written)) == video["frames"]
    captured = capsys.readouterr()
    assert captured.err.count("cut.avi: only") == 1
    assert f"{video['frames']} frames of 1 videos" in captured.out


def test_videos_that_cannot_be_read_are_skipped_and_named(artefact: Path, clip: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    write_clip(tmp_path / "none.avi", frames=0)
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"error: could not read .*text\.mp4, .*none\.avi, .*gone\.mkv"):
        run(artefact, tmp_path / "text.mp4", tmp_path / "none.avi", tmp_path / "gone.mkv", clip, "--out", out)
    captured = capsys.readouterr()
    assert "7 frames of 1 videos, 7 detections, 3 skipped" in captured.out
    assert "skipped: " in captured.err
    assert sorted(path.name for path in out.iterdir()) == ["clip.mp4", "detections.json"]
    assert [video["id"] for video in results_in(out)["videos"]] == [1]


def test_a_run_that_fails_leaves_nothing_half_written(broken_at_run_time: Path, clip: Path, tmp_path: Path) -> None:
    detector = deploy.load(broken_at_run_time, "onnxruntime", threads=1, batch_size=2)
    with pytest.raises(ArtefactError, match=r"broken\.onnx: onnxruntime failed while it ran: (.|\n)*Reshape"):
        predict(detector, [clip], tmp_path / "out", 0.3)
    assert list((tmp_path / "out").iterdir()) == []


def interrupted_at(call: int, detector: Detector) -> Detector:
    """A detector whose user presses Ctrl-C during a call, counted from 1."""
    real, calls = detector.backend, iter(range(1, call + 1))

    class Backend:
        def run(self, images: np.ndarray, sizes: None = None) -> RawDetections:
            if next(calls) == call:
                raise KeyboardInterrupt
            return real.run(images)

    return Detector(detector.spec, Backend(), batch_size=2)


@pytest.mark.parametrize(("call", "frames"), [(1, 0), (3, 4)])
def test_an_interrupted_run_keeps_what_it_has(
    call: int, frames: int, artefact: Path, clip: Path, tmp_path: Path
) -> None:
    detector = interrupted_at(call, deploy.load(artefact, "onnxruntime", threads=1))
    summary = predict(detector, [clip, clip.with_name("never_reached.mp4")], tmp_path / "out", 0.06)
    assert (summary.interrupted, summary.frames, summary.skipped) == (True, frames, [])
    content = results_in(tmp_path / "out")
    assert len(content["images"]) == len(content["annotations"]) == frames
    assert (tmp_path / "out/clip.mp4").exists() == (frames > 0)
    if frames:
        with VideoReader(tmp_path / "out/clip.mp4") as video:
            assert len(list(video)) == frames
        assert content["videos"][0]["damage"] == f"{clip}: interrupted after 6 frames"


def test_frames_go_straight_into_a_detector(artefact: Path, clip: Path) -> None:
    detector = deploy.load(artefact, "onnxruntime", threads=1, batch_size=2)
    with VideoReader(clip) as video:
        found = detector(frame.image for frame in video)
    assert [len(detections) for detections in found] == [1] * 7
