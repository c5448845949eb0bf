"""A server on this machine's loopback, beside the test that asks it."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from typing import TypeVar

import pytest

from pipeline import transfers

AnyServer = TypeVar("AnyServer", bound=socketserver.TCPServer)


@contextlib.contextmanager
def serving(server: AnyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyServer]:
    """Let ``server`` answer in a thread, to downloads that lose no time between two tries."""
    monkeypatch.setattr(transfers, "_BACKOFF_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
