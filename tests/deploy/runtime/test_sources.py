import os
from pathlib import Path

import pytest

from deploy.runtime.errors import ImageError
from deploy.runtime.sources import find_images, find_sources, is_video, result_names


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_folders_give_images_and_videos_in_depth_sorted_and_once(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpg", "deeper/c.MOV", "notes.txt", "a.json")
    found = find_sources([tmp_path, tmp_path / "a.jpg"], tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.jpg", "b.PNG", "deeper/c.MOV"]
    assert [is_video(path) for path in found] == [False, False, True]


def test_folders_are_searched_for_images_alone_where_that_is_asked(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.mp4", "videos/c.mp4")
    assert find_images([tmp_path], tmp_path / "out") == [tmp_path / "a.jpg"]
    with pytest.raises(ImageError, match=r"no image files in this folder \(looked for \.avif, .*\.webp\)"):
        find_images([tmp_path / "videos"], tmp_path / "out")


def test_a_named_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    given = [tmp_path / name for name in ("scan.dat", ".hidden.png", "gone.mp4")]
    assert find_sources(given, tmp_path / "out") == given


def test_hidden_files_of_a_folder_and_earlier_results_are_no_input(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "._a.png", ".clip.part.mp4", "out/a.jpg", "out/clip.mp4")
    assert find_sources([tmp_path], tmp_path / "out") == [tmp_path / "a.png"]


def test_folders_that_are_called_like_files_are_searched(tmp_path: Path) -> None:
    inside = touch(tmp_path, "x.jpg/y.png", "x.jpg/z.mp4/1.jpg")
    assert find_sources([tmp_path / "x.jpg"], tmp_path / "out") == inside


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    (path,) = touch(tmp_path, os.fsdecode(b"caf\xe9.png"))
    assert find_sources([tmp_path], tmp_path / "out") == [path]


def test_a_folder_without_anything_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no image or video files in this folder \(looked for \.3gp, .*\.wmv\)"):
        find_sources([tmp_path], tmp_path / "out")


def test_a_folder_that_is_its_own_result_folder_says_why_nothing_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(ImageError, match=r"the 2 files in .* are taken for earlier results"):
        find_sources([tmp_path], tmp_path)


def test_no_two_results_have_one_name(tmp_path: Path) -> None:
    sources = [tmp_path / name for name in ("a.png", "a.mp4", "b/a.jpg", "b/a.mov", "b/a_2.bmp", "c.d.tif")]
    names = result_names(sources, tmp_path / "out")
    assert [*names.values()] == ["a.jpg", "a.mp4", "a_2.jpg", "a_2.mp4", "a_2_2.jpg", "c.d.jpg"]


def test_no_result_takes_the_name_of_a_source(tmp_path: Path) -> None:
    sources = [tmp_path / name for name in ("a.jpg", "clip.mp4", "b.png")]
    assert [*result_names(sources, tmp_path).values()] == ["a_2.jpg", "clip_2.mp4", "b.jpg"]
