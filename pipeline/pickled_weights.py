"""Weights that ``torch.save`` wrote, read without running code and without becoming larger than such weights can be.

Files go through torch's restricted unpickler, in which the bookkeeping objects of mmengine checkpoints (loss histories,
numpy scalars) are replaced by inert placeholders. What else torch would build is narrower here: of its own list, some
objects take memory by a number that the file says.
"""

import json
import logging
import os
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from io import BufferedReader, BytesIO
from pickle import UnpicklingError
from typing import IO, Any

import torch
from torch import Tensor

from deploy.runtime.errors import shortened
from pipeline.errors import CheckpointError

logger = logging.getLogger(__name__)

CLASSES = "classes"
"""The entry of the metadata of weights that holds class names."""

LONGEST_REASON = 300
"""Characters of what a message quotes of a file."""

_LISTED_KEYS = 12
_FOLDER = 0x10  # of the attributes in a ZIP archive
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_PAGE = re.compile(rb"\s*<(!|html|head|\?xml)", re.IGNORECASE)
# Types of 4 bits become 32; tensors of one storage each get one of their own.
_GROWTH, _ALWAYS = 8, 64 << 20
_LEGACY_PICKLES = 5  # a magic number, a version, the machine, the content, the storages


class _Inert:
    """Placeholder of every allowed object that is not a tensor: takes any arguments and state, does nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# What mmengine's Runner stores beside the weights. HistoryBuffer's pickles ask for getattr, which must never be the
# real one: through it a file could reach any attribute of any object.
_BOOKKEEPING = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
)
# Dense tensors over a storage of the file, and plain values. Not torch's tensor classes, bytearray, sparse, nested,
# quantised, meta and device tensors: a number in the file says how large they become.
_BUILT = re.compile(
    r"torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state)"
    r"|torch\.nn\.parameter\.Parameter|torch\.(Size|device)"
    r"|torch\.(cuda\.)?\w+Storage|torch\.storage\.(Untyped|Typed)Storage|torch\.(per_\w+|q?u?int\d+\w*|b?float\d+\w*)"
    r"|torch\.(bool|half|float|double|complex\d+)|torch\.serialization\._get_layout"
    r"|collections\.(OrderedDict|Counter)|_codecs\.encode|builtins\.(set|complex|getattr)"
)


def looks_pickled(beginning: bytes) -> bool:
    """Whether a file that begins like this may be one of ``torch.save``."""
    return beginning.startswith((_ZIP, _PICKLE))


def is_page(beginning: bytes) -> bool:
    """Whether a file that begins like this is HTML or XML."""
    return bool(_PAGE.match(beginning))


def read_pickled(stream: BufferedReader, source: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the state dict of a file of ``torch.save``, and what its ``meta`` says in plain values.

    Raises:
        CheckpointError: it is damaged, asks for objects, holds no tensors, or becomes far larger than it is.
    """
    try:
        _check_before(stream, source)
        stream.seek(0)
        whole = _has_its_sums(stream)
        stream.seek(0)
        with torch.serialization.safe_globals([(_Inert, name) for name in _BOOKKEEPING]):
            content = torch.load(stream, map_location="cpu", weights_only=True)
        if not whole:
            raise CheckpointError(f"{source}: damaged: it is not what was written (CRC-32); fetch or make it anew")
        return _state_dict_of(content, source)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"{source}: {_refusal(error)}") from error


def bytes_read(tensor: Tensor) -> int:
    """The memory that a tensor takes once it is read: floating-point types become float32."""
    return tensor.numel() * max(4 if tensor.is_floating_point() else 1, tensor.element_size())


def check_expansion(taken: int, size: int, source: str) -> None:
    """Refuse a file of ``size`` bytes that becomes ``taken`` bytes in memory.

    Raises:
        CheckpointError: it is more than eight times as much, and 64 MiB.
    """
    if taken > (most := _GROWTH * size + _ALWAYS):
        raise CheckpointError(
            f"{source}: a file of {size:,} bytes that would become {taken:,} in memory; at most {most:,} are taken: "
            "no weights grow so much, save the tensors whole (tensor.contiguous()), best as safetensors"
        )


def _check_before(stream: BufferedReader, source: str) -> None:
    """What the file says that it needs, held against what it may, before anything of it is built."""
    if stream.peek(len(_ZIP)).startswith(_ZIP):
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if not any(member.CRC for member in members):  # saved without sums
                for member in members:
                    del member.CRC
            check_expansion(sum(member.file_size for member in members), os.fstat(stream.fileno()).st_size, source)
            for member in members:
                if member.filename.endswith(".pkl"):
                    _refuse_foreign(BytesIO(archive.read(member)))
        return
    for _ in range(_LEGACY_PICKLES):
        _refuse_foreign(stream)


def _has_its_sums(stream: BufferedReader) -> bool:
    """Whether the parts of a ZIP archive have the sums that stand in it, at which torch does not look.

    Torch's format before 1.6 is no archive, and whoever saved one may have switched its sums off: they are all 0 then.
    """
    if not zipfile.is_zipfile(stream):
        return True
    stream.seek(0)
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        # Of a part that is marked as a folder torch reads nothing, and gives whatever the memory holds for its weights.
        if any(entry.external_attr & _FOLDER for entry in entries if not entry.is_dir()):
            return False
        return not any(entry.CRC for entry in entries) or archive.testzip() is None


def _refuse_foreign(stream: IO[bytes]) -> None:
    for name in _globals(stream):
        if not _BUILT.fullmatch(name) and name not in _BOOKKEEPING:
            raise UnpicklingError(f"GLOBAL {name}")


def _globals(stream: IO[bytes]) -> Iterator[str]:
    """What a pickle asks for by name, the stream being left behind its end."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name == "GLOBAL":
            yield str(argument).replace(" ", ".").replace("__builtin__.", "builtins.")


def _state_dict_of(content: Any, source: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    metadata: dict[str, str] = {}
    weights = content
    if isinstance(content, Mapping) and "state_dict" in content:
        weights = content["state_dict"]
        if isinstance(meta := content.get("meta"), Mapping):
            metadata = {
                key: str(value)
                for key, value in meta.items()
                if isinstance(key, str) and isinstance(value, str | int | float)
            }
            metadata |= _mmdet_classes(meta)
        if ignored := sorted(_shown(key) for key in content if key not in ("state_dict", "meta")):
            logger.info("%s: took 'state_dict'; not weights and not used: %s", source, ", ".join(ignored))
    if not isinstance(weights, Mapping) or not weights:
        raise CheckpointError(
            f"{source}: no state dict inside (found {type(weights).__name__}); expected names to tensors"
        )
    if foreign := [_shown(key) for key, value in weights.items() if not (isinstance(key, str) and _is_weight(value))]:
        raise CheckpointError(
            f"{source}: {len(foreign)} entries are no tensors with a name: {listed(foreign)}; expected a state dict, "
            "bare or under the key 'state_dict'"
        )
    return dict(weights), metadata


def _is_weight(value: object) -> bool:
    """Whether this is a tensor as parameters and buffers are: real numbers, each in its place."""
    if not isinstance(value, Tensor) or value.is_quantized or value.is_complex():
        return False
    return value.layout == torch.strided and value.device.type == "cpu"


def _shown(key: object) -> str:
    # What is nested may be small in the file and endless as text.
    return key if isinstance(key, str) else f"a {type(key).__name__}"


def _mmdet_classes(meta: Mapping[Any, Any]) -> dict[str, str]:
    # mmdet 3 keeps them under dataset_meta, mmdet 2 had CLASSES.
    dataset = meta.get("dataset_meta")
    classes = dataset.get("classes", dataset.get("CLASSES")) if isinstance(dataset, Mapping) else meta.get("CLASSES")
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        return {}
    return {CLASSES: json.dumps(list(classes))}


def listed(keys: list[str]) -> str:
    """The first few of a list of names, and how many more there are."""
    shown = ", ".join(shortened(key, LONGEST_REASON) for key in keys[:_LISTED_KEYS])
    return shown if len(keys) <= _LISTED_KEYS else f"{shown}, ... and {len(keys) - _LISTED_KEYS} more"


def _refusal(error: Exception) -> str:
    # torch's own text advises to switch the protection off, so only the object's name is taken from it.
    if isinstance(error, UnpicklingError) and (named := re.search(r"GLOBAL ([\w.]+)", str(error))):
        return (
            f"it asks for {named[1]}, and nothing a file asks for is built or run; "
            "save its state dict alone (tensors only), best as safetensors"
        )
    return f"damaged or not a torch checkpoint ({type(error).__name__}); fetch or make it anew"
