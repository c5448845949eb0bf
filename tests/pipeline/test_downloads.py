import contextlib
import hashlib
import os
import random
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from pipeline import downloads
from pipeline.downloads import DownloadError, download_wheel, fetch_wheel, read_member


def make_wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / name
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return wheel


@pytest.fixture
def offline_index(tmp_path, monkeypatch):
    """A real pip, pointed at a folder that holds one tiny wheel and at no index."""
    metadata = b"Metadata-Version: 2.1\nName: tinybox\nVersion: 1.0\n"
    wheel_file = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = "tinybox-1.0.dist-info"
    members = {f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel_file, f"{info}/RECORD": b"", "tinybox/a.txt": b"A"}
    wheel = make_wheel(tmp_path / "index", "tinybox-1.0-py3-none-any.whl", members)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return wheel


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_wheel_is_downloaded_by_pip_and_cached(offline_index, tmp_path):
    cache = tmp_path / "cache"
    wheel = fetch_wheel("tinybox==1.0", sha256(offline_index), cache)
    assert wheel == cache / offline_index.name
    assert read_member(wheel, "tinybox/a.txt") == b"A"
    assert [path.name for path in cache.iterdir()] == [offline_index.name]


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_member_is_an_error_whatever_it_is_packed_with(tmp_path, method):
    wheel, packed = tmp_path / "tinybox.whl", b"some weights" * 20
    with zipfile.ZipFile(wheel, "w", method) as archive:
        archive.writestr("tinybox/a.txt", packed)
    content, refused = wheel.read_bytes(), 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        wheel.write_bytes(damaged)
        try:
            assert read_member(wheel, "tinybox/a.txt") == packed
        except DownloadError:
            refused += 1
    assert refused > 0.5 * len(content)


@pytest.mark.parametrize("method", METHODS)
def test_no_zeroed_block_is_read_as_another_file(tmp_path, method):
    wheel, packed = tmp_path / "tinybox.whl", b"some weights" * 20
    with zipfile.ZipFile(wheel, "w", method) as archive:
        archive.writestr("tinybox/a.txt", packed)
    content = wheel.read_bytes()
    for size in (1, 4, 8, 12, 64):
        for start in range(len(content)):
            damaged = bytearray(content)
            damaged[start : start + size] = bytes(len(damaged[start : start + size]))
            wheel.write_bytes(damaged)
            with contextlib.suppress(DownloadError):
                assert read_member(wheel, "tinybox/a.txt") == packed


def test_a_cached_wheel_is_used_without_pip(offline_index, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = fetch_wheel("tinybox==1.0", sha256(offline_index), cache)
    monkeypatch.setattr(downloads.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    assert fetch_wheel("tinybox==1.0", sha256(offline_index), cache) == first


def test_a_damaged_wheel_in_the_cache_is_replaced(offline_index, tmp_path):
    damaged = make_wheel(tmp_path / "cache", offline_index.name, {"other.txt": b"x"})
    wheel = fetch_wheel("tinybox==1.0", sha256(offline_index), damaged.parent)
    assert wheel == damaged
    assert sha256(wheel) == sha256(offline_index)


def test_a_wheel_of_another_hash_is_refused_and_not_cached(offline_index, tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(DownloadError, match=f"sha256 {sha256(offline_index)}, expected {'0' * 64}"):
        fetch_wheel("tinybox==1.0", "0" * 64, cache)
    assert list(cache.iterdir()) == []


def test_pip_that_fails_gives_its_reason_and_the_cure(offline_index, tmp_path):
    with pytest.raises(DownloadError) as caught:
        fetch_wheel("tinybox==2.0", "0" * 64, tmp_path / "cache")
    message = str(caught.value)
    assert "tinybox==2.0" in message
    assert "No matching distribution" in message
    assert "by hand" in message


@pytest.mark.parametrize(
    "requirement", ["tinybox", "tinybox>=1", "-r evil.txt", "./folder", "a==1 --pre", "https://x/y.whl", ""]
)
def test_only_a_pinned_name_reaches_pip(requirement, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    for attempt in (
        lambda: fetch_wheel(requirement, "0" * 64, tmp_path),
        lambda: download_wheel(requirement, tmp_path),
    ):
        with pytest.raises(DownloadError, match="name==version"):
            attempt()


def test_pip_may_not_build_or_follow_dependencies(tmp_path, monkeypatch):
    seen: list[list[str]] = []

    def run(command, **_):
        seen.append(command)
        return subprocess.CompletedProcess(command, 1, "", "refused")

    monkeypatch.setattr(downloads.subprocess, "run", run)
    with pytest.raises(DownloadError, match="refused"):
        download_wheel("tinybox==1.0", tmp_path)
    assert {"--no-deps", "--only-binary=:all:"} <= set(seen[0])


def test_members_that_do_not_exist_or_are_no_archive_are_named(tmp_path):
    wheel = make_wheel(tmp_path, "a-1-py3-none-any.whl", {"a/b.txt": b"hello" * 100})
    with pytest.raises(DownloadError, match=r"holds no file 'a/c\.txt'"):
        read_member(wheel, "a/c.txt")
    damaged = tmp_path / "damaged.whl"
    damaged.write_bytes(wheel.read_bytes()[:40])
    with pytest.raises(DownloadError, match=r"damaged\.whl: cannot read"):
        read_member(damaged, "a/b.txt")
    with pytest.raises(DownloadError, match="cannot read"):
        read_member(tmp_path / "absent.whl", "a/b.txt")


def test_a_damaged_member_is_an_error_not_garbage(tmp_path):
    wheel = make_wheel(tmp_path, "a-1-py3-none-any.whl", {"a/b.txt": bytes(range(256)) * 50})
    content = bytearray(wheel.read_bytes())
    content[60] ^= 0xFF
    wheel.write_bytes(content)
    with pytest.raises(DownloadError, match=r"cannot read 'a/b\.txt'"):
        read_member(wheel, "a/b.txt")


def test_a_member_that_claims_too_much_memory_is_not_read(tmp_path, monkeypatch):
    wheel = make_wheel(tmp_path, "a-1-py3-none-any.whl", {"bomb": bytes(10_000)})
    monkeypatch.setattr(downloads, "_LARGEST_MEMBER", 9_999)
    with pytest.raises(DownloadError, match="claims 10000 bytes"):
        read_member(wheel, "bomb")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_damaged_anywhere_gives_its_member_or_an_error_of_its_own(tmp_path, method):
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", method) as archive:
        archive.writestr("a/b.txt", b"hello" * 20)
    sound, chance = wheel.read_bytes(), random.Random(0)
    for _ in range(500):
        content = bytearray(sound)
        for _ in range(chance.choice((1, 1, 4))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        wheel.write_bytes(content[: chance.choice((len(content), len(content), chance.randrange(len(content))))])
        try:
            assert read_member(wheel, "a/b.txt") == b"hello" * 20
        except DownloadError:
            continue


def test_a_pipe_for_a_wheel_is_not_waited_for(offline_index, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    os.mkfifo(cache / offline_index.name)
    with pytest.raises(DownloadError, match="named pipe"):
        read_member(cache / offline_index.name, "tinybox/a.txt")
    assert stat.S_ISREG(fetch_wheel("tinybox==1.0", sha256(offline_index), cache).stat().st_mode)


def test_a_pip_that_does_not_end_is_ended(offline_index, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_LONGEST_S", 0.01)
    with pytest.raises(DownloadError, match=r"took more than 0\.01 seconds"):
        download_wheel("tinybox==1.0", tmp_path)
