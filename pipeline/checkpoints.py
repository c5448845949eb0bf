"""Detector weights on disk: safetensors written atomically, read without running code, loaded strictly.

Nothing that a file holds is ever executed, and what it becomes in memory is bounded by its own size.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from io import BufferedReader
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from deploy.runtime.errors import shortened
from deploy.runtime.regular_files import open_regular
from pipeline.errors import CheckpointError
from pipeline.layout import TEACHER, accepted_file, weights_file
from pipeline.pickled_weights import (
    CLASSES,
    LONGEST_REASON,
    bytes_read,
    check_expansion,
    is_page,
    listed,
    looks_pickled,
    read_pickled,
)
from pipeline.storage import sha256_of, write_atomic
from pipeline.transfers import LARGEST_FILE

if TYPE_CHECKING:
    from mmdet.models import BaseDetector

    from pipeline.recipes import Recipe

_HEADER_ALIGNMENT = 8
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

    Reads safetensors, and what ``torch.save`` wrote of a state dict, bare or under ``state_dict`` (mmengine, mmdet,
    torchvision); which one it is, the content says and not the name. Of the latter, the plain entries of ``meta`` and
    mmdet's class names are the metadata. ``own``: the file is one of :func:`save_weights`, and without its hash it
    counts as damaged.

    Raises:
        CheckpointError: the file is missing, damaged, of another format, holds objects other than tensors where
            weights are expected, would have to run code to be read, or becomes far larger than it is.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > LARGEST_FILE:
                raise CheckpointError(f"{path}: {size:,} bytes; no weights of more than {LARGEST_FILE:,} are read")
            tensors, metadata = _read(stream, path, own)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; run `dvc repro` to make it, or correct the path") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    check_expansion(sum(bytes_read(tensor) for tensor in tensors.values()), size, str(path))
    floats = {name: tensor.float() for name, tensor in tensors.items() if tensor.is_floating_point()}
    return {**tensors, **floats}, metadata


def _read(stream: BufferedReader, path: Path, own: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    beginning = stream.peek(16)[:16]
    # First of all, since the length of a header may begin as a pickle does.
    if beginning[8:9] == b"{" or own:
        return _read_safetensors(stream.read(), path, own)
    if looks_pickled(beginning):
        return read_pickled(stream, str(path))
    found = "is a web page, perhaps one about the file" if is_page(beginning) else f"begins with {beginning!r}"
    raise CheckpointError(
        f"{path}: damaged or not a file of weights (safetensors, or what torch.save writes): it {found}; fetch or make "
        "it anew"
    )


def _read_safetensors(content: bytes, path: Path, own: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        tensors = safetensors.torch.load(content)
        header, data = _parts_of(content)
    except (SafetensorError, ValueError, KeyError, RecursionError, struct.error) as error:
        why = shortened(str(error), LONGEST_REASON)
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({why}); fetch or make it anew") from error
    metadata: dict[str, str] = header.get("__metadata__", {})
    expected = metadata.pop(_OWN_HASH, None)
    if (own or expected is not None) and expected != _hash_of(header, data):
        raise CheckpointError(f"{path}: damaged: it is not what was written (SHA-256); fetch or make it anew")
    return tensors, metadata


def load_strict(model: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load weights that must fit the model exactly; ``source`` names them in the error.

    What the model computes with and does not save (mmengine's first versions saved the normalisation of images, as in
    RTMDet's published weights) may be among them with the model's own values.

    Raises:
        CheckpointError: keys are missing, unexpected, of another shape, or of another value where it is the model's
            own; each kind is counted and listed.
    """
    own = model.state_dict()
    constants = {name: buffer for name, buffer in model.named_buffers() if name not in own and name in state_dict}
    differing = [name for name, buffer in constants.items() if not _equal(buffer, state_dict[name])]
    state_dict = {name: tensor for name, tensor in state_dict.items() if name not in constants}
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
    findings = (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", mismatched),
        ("of another value than the configuration's", differing),
    )
    if problems := [f"  {len(keys)} {kind}: {listed(keys)}" for kind, keys in findings if keys]:
        raise CheckpointError(
            f"{source} does not fit {type(model).__name__} ({len(own)} keys):\n" + "\n".join(problems) + "\n"
            "Use the weights made with this very configuration (classes, widths, depths), or correct the configuration."
        )


def _equal(buffer: Tensor, given: Tensor) -> bool:
    return buffer.shape == given.shape and bool(torch.allclose(buffer.detach().cpu().float(), given.float(), atol=1e-4))


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
    trained = classes_in(metadata)
    if not trained or trained == list(classes):
        return
    pairs = zip_longest(trained, classes, fillvalue="none")
    label, there, here = next((label, *pair) for label, pair in enumerate(pairs) if pair[0] != pair[1])
    raise CheckpointError(
        f"{source}: trained for other classes than the data set's, or for another order of them: label {label} is "
        f"{there!r} there and {here!r} in the data set ({len(trained)} and {len(classes)} classes); use weights of "
        "these classes, or give the categories the names and the order of the weights"
    )


def check_accepted() -> None:
    """Hold the teacher that is here against the one that passed its evaluation.

    Raises:
        CheckpointError: it is another one, or one of the two is missing.
    """
    weights, accepted = weights_file(TEACHER), accepted_file(TEACHER)
    found = sha256_of(weights) if weights.is_file() else None
    if not accepted.is_file() or found != accepted.read_text(encoding="utf-8").strip():
        raise CheckpointError(
            f"{weights}: not the teacher that {accepted} names; run `dvc repro evaluate_teacher` to accept this one"
        )


def classes_entry(classes: Sequence[str]) -> dict[str, str]:
    """Class names, in the order of the labels, as an entry of the metadata of weights."""
    return {CLASSES: json.dumps(list(classes))}


def classes_in(metadata: Mapping[str, str]) -> list[str]:
    """The class names of the metadata of weights, in the order of the labels; empty where it has none."""
    try:
        classes = json.loads(metadata.get(CLASSES, "[]"))
    except (ValueError, RecursionError):
        return []  # another program's entry of that name
    return [str(name) for name in classes] if isinstance(classes, list) else []
