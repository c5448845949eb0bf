"""Connections that are ended from outside once they bring too little, whatever they are just waiting for.

A timeout of a socket begins anew with each byte, so a server that sends one byte a second is never late: not with the
headers, not with a chunk's length, not with the file. So another thread looks at what has arrived.
"""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class TooSlow(Exception):
    """A connection was ended because it brought too little in its time; the message says how little."""


class Watch:
    """Ends the connections that :meth:`hold` was given once too few bytes have :meth:`arrived`.

    Args:
        least: bytes that each ``window`` has to bring.
        window: seconds.
        ends_at: when everything ends, however fast it is; of ``time.monotonic()``.

    Raises:
        TooSlow: at the end of the block, in the place of what it made the block fail with.
    """

    def __init__(self, least: int, window: float, ends_at: float) -> None:
        self._least, self._window, self._ends_at = least, window, ends_at
        self._bytes = 0
        self._verdict: str | None = None
        self._sockets: list[socket.socket] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch-transfer", daemon=True)

    def arrived(self, count: int) -> None:
        """Take note of ``count`` bytes of content."""
        self._bytes += count

    def hold(self, connected: socket.socket) -> None:
        """Watch a connection; it stays its owner's."""
        # A handle of our own: TLS takes the owner's away, and what is shut down is the connection that both belong to.
        copy = connected.dup()
        with self._lock:
            self._sockets.append(copy)
            if self._verdict:
                _shut(copy)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        for held in self._sockets:
            held.close()
        if self._verdict and (error is None or isinstance(error, Exception)):
            raise TooSlow(self._verdict) from error

    def _look(self) -> None:
        while True:
            before, left = self._bytes, self._ends_at - time.monotonic()
            if self._over.wait(max(0.0, min(self._window, left))):
                return None
            brought = self._bytes - before
            if time.monotonic() >= self._ends_at:
                return self._end("it takes too long in all; what has arrived is kept for another run")
            if brought < self._least:
                return self._end(f"too slow: {brought} bytes in {self._window:g} seconds, {self._least} are the least")

    def _end(self, verdict: str) -> None:
        with self._lock:
            self._verdict = verdict
            for held in self._sockets:
                _shut(held)


class WatchedAdapter(HTTPAdapter):
    """An adapter of ``requests`` whose connections, also those through a proxy, are held by a watch."""

    def __init__(self, watch: Watch) -> None:
        self._pools = _pools(watch)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """See the base class."""
        super().init_poolmanager(*args, **kwargs)
        self._use_own_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        """See the base class."""
        return self._use_own_pools(super().proxy_manager_for(*args, **kwargs))

    def _use_own_pools(self, manager: PoolManager) -> PoolManager:
        # A SOCKS proxy brings its own connections, which have the timeouts alone.
        if type(manager).__name__ != "SOCKSProxyManager":
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(watch: Watch) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _held(super()._new_conn(), watch)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _held(super()._new_conn(), watch)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _held(connected: socket.socket, watch: Watch) -> socket.socket:
    watch.hold(connected)
    return connected


def _shut(held: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        held.shutdown(socket.SHUT_RDWR)
