"""Files over HTTP: resumed where they broke off, and bounded in time, bytes and patience whatever the server sends."""

import errno
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from tqdm import tqdm

from deploy.runtime.printable import in_one_line
from deploy.runtime.regular_files import check_regular
from pipeline.slow_connections import TooSlow, Watch, WatchedAdapter

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_BACKOFF_S = 1.0
_TIMEOUT_S = (10.0, 60.0)
_CHUNK = 1 << 14
_REDIRECTS = 10
# Far above any checkpoint of a detector, far below what fills a disk of today.
LARGEST_FILE = 8 << 30
# Less than 4.4 kB/s: a checkpoint of 100 MB would take six hours.
_LEAST, _WINDOW_S = 1 << 19, 120.0
_LONGEST_S = 6 * 3600.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NUMBER = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class SourceError(Exception):
    """One source did not give the file; the message is the reason."""


class _TransferBroken(Exception):
    """A transfer stopped half-way or the server asks for patience: worth another attempt."""


def download(url: str, part: Path) -> None:
    """Append to ``part`` what is missing of the file at ``url``; what it is, is not looked at.

    A broken transfer is resumed, up to 5 times without progress. At most 10 redirects are followed, all of them to
    https (plain http to this machine itself); at most 8 GiB are taken, and no more than the disk has room for; 512 KiB
    have to come in every two minutes, and all in six hours.

    Raises:
        SourceError: it cannot be had: whatever the address or the server's answer makes the HTTP stack stumble over.
        OSError: ``part`` cannot be written; on a full disk it is removed.
    """
    if part.exists():
        check_regular(part)
    failures, reached, ends_at = 0, _size(part), time.monotonic() + _LONGEST_S
    while True:
        try:
            return _attempt(url, part, ends_at)
        except (requests.RequestException, _TransferBroken) as error:
            failures = 1 if _size(part) > reached else failures + 1
            reached = max(reached, _size(part))
            if failures == _ATTEMPTS:
                raise SourceError(f"{error} ({failures} attempts without progress)") from error
            if _is_final(error) or time.monotonic() > ends_at:
                raise SourceError(str(error)) from error
            logger.info("%s: %s; trying again", url, error)
            time.sleep(_BACKOFF_S * 2 ** (failures - 1))


def _attempt(url: str, part: Path, ends_at: float) -> None:
    try:
        _transfer(url, part, ends_at)
    except (SourceError, _TransferBroken, requests.RequestException):
        raise
    except TooSlow as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            part.unlink(missing_ok=True)
        raise
    except Exception as error:  # broken addresses and headers end in errors of five libraries
        raise SourceError(f"{type(error).__name__}: {error}") from error


def refuse_insecure(url: str) -> None:
    """Refuse an address that is neither https nor plain http to this machine itself.

    Raises:
        SourceError: it is another one, or none.
    """
    try:
        parts = urlsplit(url)
        if is_secure(parts):
            return
    except ValueError as error:
        raise SourceError(f"not an address: {error}") from error
    raise SourceError(f"{parts.scheme}:// is refused ({parts.hostname or url}); use https://, pypi: or a local path")


def is_secure(parts: SplitResult) -> bool:
    """Whether an address is https, or plain http to this machine itself."""
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _transfer(url: str, part: Path, ends_at: float) -> None:
    present = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={present}-"} if present else {})
    with Watch(_LEAST, _WINDOW_S, ends_at) as watch, _session(watch) as session:
        response = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S)
        if response.status_code == requests.codes.requested_range_not_satisfiable and present:
            return  # nothing is missing, or the part is of another file: the hash tells
        _check_status(response)
        start = _start_of(response.status_code, response.headers)
        if start not in (0, present):
            part.unlink(missing_ok=True)
            raise _TransferBroken(f"asked for the rest from byte {present}, got it from byte {start}")
        length = _length_of(response.headers)
        room = _room(part)
        if length is not None:
            _refuse_beyond(start + length, room, part)
        _append(response, part, start, length, room, watch)


def _append(response: requests.Response, part: Path, start: int, length: int | None, room: int, watch: Watch) -> None:
    total = None if length is None else start + length
    name = in_one_line(name_in(str(response.url)))
    with (
        part.open("ab" if start else "wb") as stream,
        tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, disable=None) as progress,
    ):
        written = start
        for chunk in response.iter_content(_CHUNK):
            written += len(chunk)
            _refuse_beyond(written, room, part)
            stream.write(chunk)
            watch.arrived(len(chunk))
            progress.update(len(chunk))


def _session(watch: Watch) -> requests.Session:
    session = requests.Session()
    session.max_redirects = _REDIRECTS
    session.mount("https://", WatchedAdapter(watch))
    session.mount("http://", _LoopbackOnly(watch))
    return session


class _LoopbackOnly(WatchedAdapter):
    """Plain http, also where a redirect leads to it, reaches this machine only."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        refuse_insecure(str(request.url))
        return super().send(request, *args, **kwargs)


def _is_final(error: Exception) -> bool:
    """Whether another attempt would end in the same way: of requests' errors, addresses and headers are ValueErrors."""
    return isinstance(error, ValueError | requests.TooManyRedirects)


def _check_status(response: requests.Response) -> None:
    if response.ok:
        return
    reason = f"HTTP {response.status_code} {response.reason}"
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        raise _TransferBroken(reason)
    raise SourceError(reason)


def _start_of(status: int, headers: CaseInsensitiveDict[str]) -> int:
    if status != requests.codes.partial_content:
        return 0
    said = headers.get("Content-Range", "")
    if match := _CONTENT_RANGE.fullmatch(said.strip()):
        return int(match[1])
    raise SourceError(f"the server sends a part of the file and not which one (Content-Range {said!r})")


def _length_of(headers: CaseInsensitiveDict[str]) -> int | None:
    said = headers.get("Content-Length")
    if said is None:
        return None
    if _NUMBER.fullmatch(said.strip()):
        return int(said)
    raise SourceError(f"the server says a length that is no number (Content-Length {said!r})")


def _room(part: Path) -> int:
    """How large ``part`` may become."""
    return min(LARGEST_FILE, shutil.disk_usage(part.parent).free + _size(part))


def _refuse_beyond(size: int, room: int, part: Path) -> None:
    if size <= room:
        return
    part.unlink(missing_ok=True)
    reason = "no checkpoint is that large" if room == LARGEST_FILE else "the disk has no more room"
    raise SourceError(f"{size:,} bytes or more, at most {room:,} are taken: {reason}")


def name_in(url: str) -> str:
    """The file name in an address, empty where there is none."""
    try:
        return urlsplit(url).path.rsplit("/", 1)[-1]
    except ValueError:
        return ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
