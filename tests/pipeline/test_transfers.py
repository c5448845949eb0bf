"""Answers that a sane server never gives: each ends soon, with a reason, and the next source is asked."""

import contextlib
import hashlib
import re
import socketserver
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import transfers
from pipeline.errors import CheckpointError
from pipeline.weight_sources import fetch
from tests.pipeline.loopback import serving

CONTENT = bytes(range(256)) * 800
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Send = Callable[[bytes], object]


def answer(head: str, body: bytes = CONTENT) -> bytes:
    return f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n\r\n".encode("latin-1") + body


def drip(send: Send, first: bytes, then: bytes, pause: float = 0.02) -> None:
    """Send ``first``, and then bytes one by one for ever."""
    send(first)
    while True:
        send(then)
        time.sleep(pause)


LENGTH = f"Content-Length: {len(CONTENT)}"
PART = "HTTP/1.1 206 Partial Content\r\nConnection: close\r\n"
# What never ends, byte by byte or as fast as it can; nothing of it lets a read time out.
ENDLESS: dict[str, Callable[[Send], None]] = {
    "drip": lambda send: drip(send, answer(LENGTH, b""), b"x"),
    "drip-unsized": lambda send: drip(send, answer("X: y", b""), b"x"),
    "drip-status": lambda send: drip(send, b"HTTP/1.1 200 O", b"K"),
    "drip-header": lambda send: drip(send, b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "drip-chunk": lambda send: drip(send, answer("Transfer-Encoding: chunked", b"1;"), b"x"),
    "drip-trailer": lambda send: drip(send, answer("Transfer-Encoding: chunked", b"1\r\nx\r\n0\r\n"), b"X: y\r\n"),
    "continue": lambda send: drip(send, b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
    "silence": lambda send: time.sleep(30),
}
# What comes at full speed and is too much: nothing says how much, or a number does.
TOO_MUCH: dict[str, Callable[[Send], None]] = {
    "endless": lambda send: drip(send, answer("X: y", b""), bytes(1 << 16), 0.0),
    "endless-chunks": lambda send: drip(
        send, answer("Transfer-Encoding: chunked", b""), b"10000\r\n" + bytes(1 << 16) + b"\r\n", 0.0
    ),
    "large": lambda send: send(answer("Content-Length: 99999999999", b"")),
    "large-part": lambda send: send(f"{PART}Content-Range: bytes 0-99999999999/999\r\n{LENGTH}1\r\n\r\n".encode()),
}
# What is no HTTP, or says something that cannot be.
MALFORMED: dict[str, tuple[bytes, str]] = {
    "length-word": (answer("Content-Length: abc"), "no number"),
    "length-negative": (answer("Content-Length: -5"), "no number"),
    "length-decimal": (answer("Content-Length: 10.5"), "no number"),
    "length-underscore": (answer("Content-Length: 1_000"), "no number"),
    "length-digits": (answer(f"Content-Length: {'9' * 5000}"), "."),
    "length-twice": (answer("Content-Length: 5\r\nContent-Length: 7"), "."),
    "length-bytes": (answer("Content-Length: \xb2"), "no number"),
    "range-none": (f"{PART}{LENGTH}\r\n\r\n".encode() + CONTENT, "not which one"),
    "range-word": (f"{PART}Content-Range: bytes x-y/z\r\n\r\n".encode() + CONTENT, "not which one"),
    "range-bytes": (f"{PART}Content-Range: bytes \xb2-5/3\r\n\r\n".encode("latin-1") + CONTENT, "not which one"),
    "range-digits": (f"{PART}Content-Range: bytes {'9' * 5000}-5/3\r\n\r\n".encode() + CONTENT, "not which one"),
    "header-bytes": (answer("X-\xff\xfe: \x80") + b"", "."),
    "chunk-word": (answer("Transfer-Encoding: chunked", b"ZZZ\r\nabc\r\n"), "."),
    "gzip": (answer(f"Content-Encoding: gzip\r\n{LENGTH}"), "."),
    "no-http": (b"\x00\x01\x02 not http\r\n\r\n", "."),
    "many-headers": (answer("\r\n".join(f"X{number}: y" for number in range(500))), "."),
    "long-header": (answer("X: " + "y" * 100_000), "."),
    **{
        f"to-{name}": (f"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {place}\r\n\r\n".encode("latin-1"), said)
        for name, place, said in (
            ("itself", "/to-itself", "redirects"),
            ("bracket", "http://[::1", "."),
            ("port", "http://127.0.0.1:99999/x", "."),
            ("long-port", "http://127.0.0.1:99999999999/x", "."),
            ("label", f"https://{'a' * 64}.invalid/x", "."),
            ("empty-label", "https://a..invalid/x", "."),
            ("no-host", "https:///x", "."),
            ("file", "file:///etc/hostname", "."),
            ("ftp", "ftp://example.invalid/x", "."),
            ("plain", "http://example.invalid/x", "refused"),
            ("bytes", "http://127.0.0.1:1/\xff\xfe", "."),
        )
    },
}


class Handler(socketserver.StreamRequestHandler):
    server: "Server"

    def handle(self) -> None:
        name = self.rfile.readline().split()[1].decode().removeprefix("/")
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(name)
        try:
            if scripted := (ENDLESS | TOO_MUCH).get(name):
                scripted(self.request.sendall)
            else:
                self.request.sendall(MALFORMED[name][0] if name in MALFORMED else answer(LENGTH))
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(Server(), monkeypatch) as running:
        yield running


def reason_of(server: Server, name: str, cache: Path) -> str:
    """Ask for a file that is there in the second place; returns why the first one was given up."""
    assert fetch([server.url(name), server.url("good.pth")], SHA256, cache).read_bytes() == CONTENT
    with pytest.raises(CheckpointError) as error:
        fetch([server.url(name)], "0" * 64, cache)
    return str(error.value).splitlines()[2]


@pytest.mark.parametrize("name", ENDLESS)
def test_what_drips_is_given_up(server: Server, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_WINDOW_S", 0.3)
    began = time.monotonic()
    assert re.search(r"too slow: \d+ bytes in 0.3 seconds, 524288 are the least", reason_of(server, name, tmp_path))
    assert time.monotonic() - began < 5
    assert server.asked.count(name) == 2, "a source that is too slow is not asked again"


def test_a_handshake_that_drips_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_WINDOW_S", 0.3)

    def drip_handshake(connection: socketserver.StreamRequestHandler) -> None:
        with contextlib.suppress(OSError):
            drip(connection.request.sendall, b"\x16\x03\x03\x40\x00", b"\x02")

    monkeypatch.setattr(Handler, "handle", drip_handshake)
    began = time.monotonic()
    with pytest.raises(CheckpointError, match="too slow: 0 bytes in"):
        fetch([server.url("x").replace("http://", "https://")], SHA256, tmp_path)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["drip-header", "length-word", "range-none", "large"])
def test_nothing_is_left_of_a_source_that_sent_nothing(
    server: Server, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_WINDOW_S", 0.3)
    with pytest.raises(CheckpointError):
        fetch([server.url(name)], SHA256, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_steady_drip_above_the_least_ends_too(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_LEAST", 1)
    monkeypatch.setattr(transfers, "_LONGEST_S", 0.3)
    assert "too long in all" in reason_of(server, "drip", tmp_path)


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_larger_than_any_checkpoint_is_given_up(
    server: Server, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "LARGEST_FILE", 1 << 20)
    assert re.search(r"at most 1,048,576 are taken: no checkpoint", reason_of(server, name, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [f"{SHA256}.pth"], "nothing of it stays"


def test_no_more_is_taken_than_the_disk_has_room_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = transfers.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(transfers.shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    assert "the disk has no more room" in reason_of(server, "endless", tmp_path)


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_is_given_up(server: Server, name: str, tmp_path: Path) -> None:
    if name == "header-bytes":  # harmless: nobody reads that header
        assert fetch([server.url(name)], SHA256, tmp_path).read_bytes() == CONTENT
        return
    assert re.search(MALFORMED[name][1], reason_of(server, name, tmp_path))
    assert server.asked.count("good.pth") == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:x/y",
        "https://[::1",
        "https://[x]/y",
        "https://",
        "https:///x",
        "https://a..invalid/x",
        f"https://{'a' * 64}.invalid/x",
        "https://\u2100.invalid/x",
        "https://a\nb.invalid/",
    ],
)
def test_an_address_that_is_none_is_given_up(server: Server, url: str, tmp_path: Path) -> None:
    assert fetch([url, server.url("good.pth")], SHA256, tmp_path).read_bytes() == CONTENT
    with pytest.raises(CheckpointError, match="no source gave the file"):
        fetch([url], "0" * 64, tmp_path)


def test_redirects_are_counted(server: Server, tmp_path: Path) -> None:
    reason_of(server, "to-itself", tmp_path)
    assert server.asked.count("to-itself") == 2 * 11


@pytest.mark.parametrize("size", [1000, 10**6])
def test_a_damaged_part_costs_no_source(server: Server, size: int, tmp_path: Path) -> None:
    url = server.url("range-word")
    part = tmp_path / f"{SHA256}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"
    part.write_bytes(b"x" * size)
    assert fetch([url, server.url("good.pth")], SHA256, tmp_path).read_bytes() == CONTENT
