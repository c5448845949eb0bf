"""Detector weights on disk: safetensors written atomically, read without running code, loaded strictly.

Nothing that a file holds is ever executed: ``.pth`` files go through torch's restricted unpickler, in which the
bookkeeping objects of mmengine checkpoints (loss histories, numpy scalars) are replaced by inert placeholders.
"""

import hashlib
import json
import logging
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from deploy.runtime.errors import shortened
from pipeline.errors import CheckpointError
from pipeline.storage import write_atomic

if TYPE_CHECKING:
    from mmdet.models import BaseDetector

    from pipeline.recipes import Recipe

logger = logging.getLogger(__name__)

_PICKLED = (".pth", ".pt")
_LISTED_KEYS = 12
_LONGEST_REASON = 300
_CLASSES = "classes"
_HEADER_ALIGNMENT = 8
_FOLDER = 0x10  # of the attributes in a ZIP archive
_OWN_HASH = "content_sha256"


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and metadata as one safetensors file, atomically; equal content gives an equal file.

    The file's own hash is one entry of its metadata, which :func:`load_weights` checks and takes out again.

    Args:
        path: the file to write; the folder is created.
        state_dict: tensors on any device; shared and strided ones are stored as separate contiguous copies.
        metadata: strings stored in the file's header.
    """
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state_dict.items()}
    content = safetensors.torch.save(tensors, {name: value for name, value in metadata.items() if name != _OWN_HASH})
    header, data = _parts_of(content)
    # safetensors writes the metadata in a random order; a file's hash must depend on its content alone.
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    header["__metadata__"][_OWN_HASH] = _hash_of(header, data)
    encoded = _encoded(header)
    encoded += b" " * (-len(encoded) % _HEADER_ALIGNMENT)
    write_atomic(path, b"".join((struct.pack("<Q", len(encoded)), encoded, data)))


def _parts_of(content: bytes) -> tuple[dict[str, Any], memoryview]:
    (length,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]


def _encoded(header: dict[str, Any]) -> bytes:
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()


def _hash_of(header: dict[str, Any], data: memoryview) -> str:
    """SHA-256 of a safetensors file as it was before it had this hash in its metadata."""
    digest = hashlib.sha256(_encoded(header))
    digest.update(data)
    return digest.hexdigest()


def load_weights(path: Path, own: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read weights on the CPU: every key of the file as it stands, floating-point tensors as float32.

    Reads ``.safetensors``, and ``.pth`` or ``.pt`` files that hold a state dict, bare or under ``state_dict``
    (mmengine, mmdet, torchvision). Of a ``.pth`` file, the plain entries of ``meta`` and mmdet's class names are the
    metadata. ``own``: the file is one of :func:`save_weights`, and without its hash it counts as damaged.

    Raises:
        CheckpointError: the file is missing, damaged, of another format, holds objects other than tensors where
            weights are expected, or would have to run code to be read.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; run `dvc repro` to make it, or correct the path")
    if path.suffix == ".safetensors":
        tensors, metadata = _read_safetensors(path, own)
    elif path.suffix in _PICKLED:
        tensors, metadata = _read_pickled(path)
    else:
        raise CheckpointError(f"{path}: unknown format {path.suffix!r}; use .safetensors, or .pth with a state dict")
    floats = {name: tensor.float() for name, tensor in tensors.items() if tensor.is_floating_point()}
    return {**tensors, **floats}, metadata


def _read_safetensors(path: Path, own: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
        header, data = _parts_of(content)
    except (SafetensorError, ValueError, struct.error) as error:
        why = shortened(str(error), _LONGEST_REASON)
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({why}); fetch or make it anew") from error
    metadata: dict[str, str] = header.get("__metadata__", {})
    expected = metadata.pop(_OWN_HASH, None)
    if (own or expected is not None) and expected != _hash_of(header, data):
        raise CheckpointError(f"{path}: damaged: it is not what was written (SHA-256); fetch or make it anew")
    return tensors, metadata


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


def _read_pickled(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        whole = _has_its_sums(path)
        with torch.serialization.safe_globals([(_Inert, name) for name in _BOOKKEEPING]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"{path}: {_refusal(error)}") from error
    if not whole:
        raise CheckpointError(f"{path}: damaged: it is not what was written (CRC-32); fetch or make it anew")
    return _state_dict_of(content, path)


def _has_its_sums(path: Path) -> bool:
    """Whether the parts of a ZIP archive have the sums that stand in it, at which torch does not look.

    Torch's format before 1.6 is no archive, and whoever saved one may have switched its sums off: they are all 0 then.
    """
    if not zipfile.is_zipfile(path):
        return True
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        # Of a part that is marked as a folder torch reads nothing, and gives whatever the memory holds for its weights.
        if any(entry.external_attr & _FOLDER for entry in entries if not entry.is_dir()):
            return False
        return not any(entry.CRC for entry in entries) or archive.testzip() is None


def _state_dict_of(content: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    metadata: dict[str, str] = {}
    weights = content
    if isinstance(content, Mapping) and "state_dict" in content:
        weights = content["state_dict"]
        if isinstance(meta := content.get("meta"), Mapping):
            metadata = {str(key): str(value) for key, value in meta.items() if isinstance(value, str | int | float)}
            metadata |= _mmdet_classes(meta)
        if ignored := sorted(str(key) for key in content if key not in ("state_dict", "meta")):
            logger.info("%s: took 'state_dict'; not weights and not used: %s", path, ", ".join(ignored))
    if not isinstance(weights, Mapping) or not weights:
        raise CheckpointError(
            f"{path}: no state dict inside (found {type(weights).__name__}); expected names to tensors"
        )
    if foreign := [str(key) for key, value in weights.items() if not (isinstance(key, str) and _is_weight(value))]:
        raise CheckpointError(
            f"{path}: {len(foreign)} entries are no tensors with a name: {_listed(foreign)}; expected a state dict, "
            "bare or under the key 'state_dict'"
        )
    return dict(weights), metadata


def _is_weight(value: object) -> bool:
    """Whether this is a tensor as parameters and buffers are: real numbers, each in its place."""
    if not isinstance(value, Tensor) or value.is_quantized or value.is_complex():
        return False
    return value.layout == torch.strided and value.device.type == "cpu"


def load_strict(model: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load weights that must fit the model exactly; ``source`` names them in the error.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape; each kind is counted and listed.
    """
    own = model.state_dict()
    mismatched = [
        f"{name} {list(tensor.shape)} instead of {list(own[name].shape)}"
        for name, tensor in state_dict.items()
        if name in own and own[name].shape != tensor.shape
    ]
    missing: list[str] = [name for name in own if name not in state_dict]
    unexpected: list[str] = [name for name in state_dict if name not in own]
    if not mismatched:
        # torch's own verdict: modules may rename the keys of their older versions while they load.
        missing, unexpected = model.load_state_dict(state_dict, strict=False)
    findings = (("missing", missing), ("unexpected", unexpected), ("of another shape", mismatched))
    if problems := [f"  {len(keys)} {kind}: {_listed(keys)}" for kind, keys in findings if keys]:
        raise CheckpointError(
            f"{source} does not fit {type(model).__name__} ({len(own)} keys):\n" + "\n".join(problems) + "\n"
            "Use the weights made with this very configuration (classes, widths, depths), or correct the configuration."
        )


def load_detector(recipe: "Recipe", weights: Path) -> "BaseDetector":
    """Build the recipe's detector on the CPU with the weights of a file, in eval mode.

    Raises:
        CheckpointError: as :func:`load_weights`, :func:`load_strict` and :func:`check_classes`.
    """
    from pipeline.recipes import build_detector  # heavy: imports mmdet

    state_dict, metadata = load_weights(weights)
    detector = build_detector(recipe)
    load_strict(detector, state_dict, str(weights))
    check_classes(metadata, recipe.classes, str(weights))
    return detector.eval()


def check_classes(metadata: Mapping[str, str], classes: Sequence[str], source: str) -> None:
    """Hold the classes that weights say they were trained for against a data set's; ``source`` names the weights.

    Weights that say nothing pass: their labels are taken for the data set's, in its order.

    Raises:
        CheckpointError: other classes, or another order; the first difference is named.
    """
    trained = _classes_in(metadata)
    if not trained or trained == list(classes):
        return
    pairs = zip_longest(trained, classes, fillvalue="none")
    label, there, here = next((label, *pair) for label, pair in enumerate(pairs) if pair[0] != pair[1])
    raise CheckpointError(
        f"{source}: trained for other classes than the data set's, or for another order of them: label {label} is "
        f"{there!r} there and {here!r} in the data set ({len(trained)} and {len(classes)} classes); use weights of "
        "these classes, or give the categories the names and the order of the weights"
    )


def classes_entry(classes: Sequence[str]) -> dict[str, str]:
    """Class names, in the order of the labels, as an entry of the metadata of weights."""
    return {_CLASSES: json.dumps(list(classes))}


def _classes_in(metadata: Mapping[str, str]) -> list[str]:
    try:
        classes = json.loads(metadata.get(_CLASSES, "[]"))
    except json.JSONDecodeError:
        return []  # another program's entry of that name
    return [str(name) for name in classes] if isinstance(classes, list) else []


def _mmdet_classes(meta: Mapping[Any, Any]) -> dict[str, str]:
    # mmdet 3 keeps them under dataset_meta, mmdet 2 had CLASSES.
    dataset = meta.get("dataset_meta")
    classes = dataset.get("classes", dataset.get("CLASSES")) if isinstance(dataset, Mapping) else meta.get("CLASSES")
    return classes_entry([str(name) for name in classes]) if isinstance(classes, list | tuple) else {}


def _listed(keys: list[str]) -> str:
    shown = ", ".join(shortened(key, _LONGEST_REASON) for key in keys[:_LISTED_KEYS])
    return shown if len(keys) <= _LISTED_KEYS else f"{shown}, ... and {len(keys) - _LISTED_KEYS} more"


def _refusal(error: Exception) -> str:
    # torch's own text advises to switch the protection off, so only the object's name is taken from it.
    if isinstance(error, UnpicklingError) and (named := re.search(r"GLOBAL ([\w.]+)", str(error))):
        return (
            f"it asks for {named[1]}, and nothing a file asks for is built or run; "
            "save its state dict alone (tensors only), best as safetensors"
        )
    return f"damaged or not a torch checkpoint ({type(error).__name__}); fetch or make it anew"
