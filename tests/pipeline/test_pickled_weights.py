"""Checkpoints that say they are much more than they are: refused before they take the memory."""

import io
import pickle
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.checkpoints import load_weights
from pipeline.errors import CheckpointError

GIGANTIC = 3_000_000_000


class Calls:
    """Pickled as a call of ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def sparse() -> torch.Tensor:
    return torch.sparse_coo_tensor(torch.tensor([[0], [0]]), torch.ones(1), (10**6, 10**6), check_invariants=True)


EXPANDED: dict[str, Callable[[], Any]] = {
    "one number for all": lambda: torch.zeros(1).expand(GIGANTIC),
    "one number in half precision": lambda: torch.zeros(1).half().expand(GIGANTIC),
    "rows that overlap": lambda: torch.zeros(60_000).as_strided((50_000, 10_000), (1, 1)),
}
BUILT: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: Calls(bytearray, 2 * GIGANTIC),
    "tensor class": lambda: Calls(torch.FloatTensor, GIGANTIC),
    "moved": lambda: Calls(
        torch._utils._rebuild_device_tensor_from_cpu_tensor,
        torch.zeros(1).expand(GIGANTIC),
        torch.float64,
        "cpu",
        False,
    ),
    "sparse": sparse,
    "meta": lambda: torch.zeros(GIGANTIC, device="meta"),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", EXPANDED)
def test_tensors_larger_than_their_file_are_refused(tmp_path: Path, kind: str, legacy: bool) -> None:
    torch.save({"state_dict": {"a": EXPANDED[kind]()}}, tmp_path / "w", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"w: a file of [\d,]+ bytes that would become [\d,]{12,} in memory"):
        load_weights(tmp_path / "w")


@pytest.mark.parametrize("place", ["state_dict", "optimizer"])
@pytest.mark.parametrize("kind", BUILT)
def test_what_takes_memory_by_a_number_is_not_built(tmp_path: Path, kind: str, place: str) -> None:
    content = {"state_dict": {"a": torch.ones(1)}} | {place: {"a": BUILT[kind]()}}
    torch.save(content, tmp_path / "w")
    with pytest.raises(CheckpointError, match=r"w: it asks for .*, and nothing a file asks for is built"):
        load_weights(tmp_path / "w")


def test_a_modest_expansion_and_shared_storages_are_read(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    tensors = {"a": shared, "b": shared, "c": torch.ones(1).expand(1000), "d": torch.zeros(3, dtype=torch.bfloat16)}
    torch.save(tensors, tmp_path / "w")
    loaded, _ = load_weights(tmp_path / "w")
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in tensors.items())


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_are_bounded_by_what_they_say_they_hold(tmp_path: Path, compression: int) -> None:
    torch.save({"a": torch.zeros(50_000_000, dtype=torch.uint8)}, tmp_path / "whole")
    with zipfile.ZipFile(tmp_path / "whole") as whole, zipfile.ZipFile(tmp_path / "w", "w", compression) as again:
        for member in whole.infolist():
            again.writestr(member.filename, whole.read(member))
        if compression == zipfile.ZIP_DEFLATED:
            again.writestr("archive/data/1", bytes(50_000_000))
    if compression == zipfile.ZIP_STORED:
        assert load_weights(tmp_path / "w")[0]["a"].numel() == 50_000_000
        return
    with pytest.raises(CheckpointError, match=r"would become 100,\d{3},\d{3} in memory"):
        load_weights(tmp_path / "w")


def nested(depth: int) -> Any:
    """A list that is small in the file and 10 ** depth names long as text."""
    content: Any = "name"
    for _ in range(depth):
        content = [content] * 10
    return content


@pytest.mark.parametrize(
    "meta",
    [
        {"classes": nested(9), "CLASSES": nested(9)},
        {"dataset_meta": {"classes": tuple(nested(9))}},
        {("a", "b"): 1},
    ],
)
def test_what_is_endless_as_text_is_not_written_out(tmp_path: Path, meta: dict[Any, Any]) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": meta, "x": nested(9)}, tmp_path / "w")
    tracemalloc.start()
    try:
        assert load_weights(tmp_path / "w")[1] == {}
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_entries_without_a_name_are_no_weights(tmp_path: Path) -> None:
    torch.save({7: torch.ones(1), "b": torch.ones(1)}, tmp_path / "w")
    with pytest.raises(CheckpointError, match="1 entries are no tensors with a name: a int"):
        load_weights(tmp_path / "w")


def test_plain_values_of_every_kind_beside_the_weights_are_passed_over(tmp_path: Path) -> None:
    content = {
        "state_dict": OrderedDict(a=torch.nn.Parameter(torch.ones(2)), b=torch.ones(1, dtype=torch.float16)),
        "x": [{1, 2}, 1j, b"bytes", Counter("aab"), torch.Size([1, 2]), torch.float32, torch.device("cpu"), None],
    }
    for legacy in (False, True):
        torch.save(content, tmp_path / "w", _use_new_zipfile_serialization=not legacy)
        assert load_weights(tmp_path / "w")[0]["a"].tolist() == [1, 1]


def test_a_storage_that_claims_more_than_it_has_is_damaged(tmp_path: Path) -> None:
    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: object) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", GIGANTIC) if isinstance(thing, Storage) else None

    claim = Calls(torch._utils._rebuild_tensor_v2, Storage(), 0, (GIGANTIC,), (1,), False, OrderedDict())
    pickled = io.BytesIO()
    Pickler(pickled, 2).dump({"a": claim})
    torch.save({"a": torch.zeros(10)}, tmp_path / "whole")
    with zipfile.ZipFile(tmp_path / "whole") as whole, zipfile.ZipFile(tmp_path / "w", "w") as again:
        for member in whole.infolist():
            is_content = member.filename.endswith("data.pkl")
            again.writestr(member.filename, pickled.getvalue() if is_content else whole.read(member))
    with pytest.raises(CheckpointError, match="w: damaged or not a torch checkpoint"):
        load_weights(tmp_path / "w")
