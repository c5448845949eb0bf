"""Weights on disk: what goes in comes out, nothing runs on the way, and nothing is loaded half."""

import json
import os
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging import MessageHub
from safetensors.torch import load_file
from torch import nn

from pipeline.checkpoints import classes_entry, load_detector, load_strict, load_weights, save_weights
from pipeline.errors import CheckpointError
from pipeline.recipes import Recipe, build_detector, load_resolved, resolve, write_resolved
from pipeline.records import DatasetRecord
from pipeline.storage import sha256_of


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def test_save_and_load_keep_every_key_and_value(tmp_path: Path) -> None:
    state_dict = small_model().state_dict()
    save_weights(tmp_path / "new" / "w.safetensors", state_dict, {"model": "toy"})
    loaded, metadata = load_weights(tmp_path / "new" / "w.safetensors")
    assert metadata == {"model": "toy"}
    assert loaded.keys() == state_dict.keys()
    assert all(torch.equal(loaded[name], state_dict[name]) for name in state_dict)


def test_half_precision_is_stored_as_it_is_and_read_as_float32(tmp_path: Path) -> None:
    state_dict = small_model().state_dict()
    path = tmp_path / "w.safetensors"
    save_weights(path, small_model().half().state_dict(), {})
    stored = load_file(path)
    assert stored["0.weight"].dtype == torch.float16
    assert stored["1.num_batches_tracked"].dtype == torch.int64
    loaded, _ = load_weights(path)
    assert loaded["0.weight"].dtype == torch.float32
    torch.testing.assert_close(loaded["0.weight"], state_dict["0.weight"], rtol=2**-10, atol=1e-6)


def test_shared_and_strided_tensors_are_stored_separately(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    save_weights(tmp_path / "w.safetensors", {"a": base, "b": base, "c": base.t()}, {})
    loaded, _ = load_weights(tmp_path / "w.safetensors")
    assert torch.equal(loaded["b"], base)
    assert torch.equal(loaded["c"], base.t())


@given(metadata=st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=6))
def test_equal_content_gives_an_equal_file(metadata: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("equal")
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.int64)}
    save_weights(folder / "1.safetensors", tensors, metadata)
    save_weights(folder / "2.safetensors", tensors, dict(reversed(metadata.items())))
    assert sha256_of(folder / "1.safetensors") == sha256_of(folder / "2.safetensors")
    loaded, read = load_weights(folder / "1.safetensors")
    assert read == metadata
    assert torch.equal(loaded["b"], tensors["b"])


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.ones(1)}, {})
    with pytest.raises(TypeError):
        save_weights(path, {"a": torch.zeros(1)}, {"not": object()})  # type: ignore[dict-item]
    assert load_weights(path)[0]["a"].item() == 1
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_pth_with_and_without_wrapper(tmp_path: Path, wrapped: bool) -> None:
    state_dict = {name: tensor.half() for name, tensor in small_model().state_dict().items()}
    path = tmp_path / "w.pth"
    torch.save({"state_dict": state_dict, "meta": {"epoch": 12, "cfg": ["x"]}} if wrapped else state_dict, path)
    loaded, metadata = load_weights(path)
    assert loaded.keys() == state_dict.keys()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    assert metadata == ({"epoch": "12"} if wrapped else {})


def test_mmengine_checkpoint_with_its_bookkeeping(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub = MessageHub("checkpoint-test")
    hub.update_scalar("train/loss", 1.5)
    hub.update_info("iter", np.int64(3))
    content = {
        "state_dict": OrderedDict(a=torch.ones(2)),
        "meta": {"iter": 7},
        "message_hub": hub.state_dict(),
        "optimizer": torch.optim.AdamW([nn.Parameter(torch.ones(1))]).state_dict(),
    }
    torch.save(content, tmp_path / "iter_7.pth")
    with caplog.at_level("INFO"):
        loaded, metadata = load_weights(tmp_path / "iter_7.pth")
    assert torch.equal(loaded["a"], torch.ones(2))
    assert metadata == {"iter": "7"}
    assert "message_hub, optimizer" in caplog.text


class Attack:
    """Unpickled by an ordinary reader, this makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("place", ["weights", "meta"])
def test_pickled_code_is_refused_and_never_run(tmp_path: Path, place: str) -> None:
    attack = Attack(tmp_path / "owned")
    content = {"weights": {"a": attack}, "meta": {"state_dict": {"a": torch.ones(1)}, "meta": attack}}[place]
    torch.save(content, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth: it asks for posix\.mkdir, and nothing"):
        load_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "owned").exists()


class Reach:
    """Asks the reader for an attribute of an allowed object, the way to reach everything else."""

    def __reduce__(self) -> tuple:
        return getattr, (np.ndarray, "__subclasses__")


def test_getattr_in_a_checkpoint_reaches_nothing(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": {"reach": Reach(), "epoch": 1}}, tmp_path / "w.pth")
    _, metadata = load_weights(tmp_path / "w.pth")
    assert metadata == {"epoch": "1"}


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\xff" * 64, b"\x80\x02."])
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: damaged or not a"):
        load_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_truncated_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "w.pth":
        torch.save({"a": torch.ones(100)}, path)
    else:
        save_weights(path, {"a": torch.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match=f"{name}: damaged or not a"):
        load_weights(path)


@pytest.mark.parametrize("wrapped", [False, True])
def test_no_flipped_bit_of_a_pth_is_read_as_another_weight(tmp_path: Path, wrapped: bool) -> None:
    path, weights = tmp_path / "w.pth", {"a": torch.arange(300.0), "b": torch.ones(3)}
    torch.save({"state_dict": weights, "meta": {"epoch": 1}} if wrapped else weights, path)
    content, read = path.read_bytes(), 0
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found, _ = load_weights(path)
        except CheckpointError:
            continue
        read += 1
        assert all(torch.equal(found[name], tensor) for name, tensor in weights.items()), place
    assert read < 0.5 * len(content) / 7  # damage to what says nothing, such as padding, is none


def test_a_part_that_is_marked_as_a_folder_is_not_read_as_whatever_the_memory_holds(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.arange(300.0)}, path)
    content = path.read_bytes()
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"w/data/0"))
    path.write_bytes(content[: entry + 38] + b"\x10" + content[entry + 39 :])
    with pytest.raises(CheckpointError, match=r"w\.pth: damaged"):
        load_weights(path)


def test_archives_that_were_saved_without_sums_are_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(load_weights(tmp_path / "w.pth")[0]["a"], torch.ones(3))


def test_the_format_before_archives_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(load_weights(tmp_path / "w.pth")[0]["a"], torch.ones(3))


def test_a_header_of_a_megabyte_is_told_in_a_line(tmp_path: Path) -> None:
    header = json.dumps({"A" * 1_000_000: 3}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: damaged or not a") as caught:
        load_weights(tmp_path / "w.safetensors")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "entry",
    [
        {3: torch.ones(1)},
        {None: torch.ones(1)},
        {("a", 1): torch.ones(1)},
        {"x": torch.ones(2, dtype=torch.complex64)},
        {"x": [torch.ones(1)]},
        {"A" * 1_000_000: None},
    ],
    ids=range(6),
)
def test_entries_that_are_no_weights_are_named(tmp_path: Path, entry: dict[object, object]) -> None:
    torch.save({"a": torch.ones(1), **entry}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: 1 entries are no tensors with a name") as caught:
        load_weights(tmp_path / "w.pth")
    assert len(str(caught.value)) < 1000


def test_missing_file_and_unknown_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file"):
        load_weights(tmp_path / "none.safetensors")
    for content, said in ((b"\x89HDF\r\n\x1a\n", "begins with b'.x89HDF"), (b"<!DOCTYPE html>\n", "is a web page")):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"w\.pth: damaged or not a file of weights.* it {said}"):
            load_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "name", ["1234567", "content", "uc?id=abc", "pytorch_model.bin", "epoch_12.ckpt", "w.safetensors"]
)
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_the_content_says_what_a_file_is_and_not_its_name(tmp_path: Path, name: str, kind: str) -> None:
    state_dict = dict(small_model().state_dict())
    if kind == "safetensors":
        save_weights(tmp_path / name, state_dict, {})
    else:
        torch.save(state_dict, tmp_path / name, _use_new_zipfile_serialization=kind == "zip")
    loaded, _ = load_weights(tmp_path / name)
    assert loaded.keys() == state_dict.keys()
    assert all(torch.equal(loaded[key], state_dict[key]) for key in state_dict)


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    for filler in range(0, 256, 8):
        save_weights(tmp_path / "w", {"a": torch.ones(1)}, {"filler": "x" * filler})
        if (tmp_path / "w").read_bytes()[0] == 0x80:
            break
    assert (tmp_path / "w").read_bytes()[0] == 0x80
    assert torch.equal(load_weights(tmp_path / "w")[0]["a"], torch.ones(1))


def test_own_weights_are_not_taken_from_a_pickle(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "best.safetensors")
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        load_weights(tmp_path / "best.safetensors", own=True)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: cannot be read: a named pipe"):
        load_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "found list"),
        ({}, "found dict"),
        ({"state_dict": {}}, "found dict"),
        ({"model": {"a": torch.ones(1)}, "ema": {}}, "2 entries are no tensors with a name: model, ema"),
    ],
)
def test_files_without_a_state_dict_are_explained(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        load_weights(tmp_path / "w.pth")


def test_strict_load_copies_every_value() -> None:
    source, target = small_model(), small_model()
    nn.init.normal_(source[0].weight)  # type: ignore[arg-type]
    load_strict(target, source.state_dict(), "source")
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_strict_load_names_missing_unexpected_and_misshapen_keys() -> None:
    state_dict = dict(small_model().state_dict())
    del state_dict["1.running_mean"]
    state_dict["head.weight"] = torch.ones(1)
    state_dict["2.weight"] = torch.ones(5, 4)
    with pytest.raises(CheckpointError) as error:
        load_strict(small_model(), state_dict, "teacher.safetensors")
    message = str(error.value)
    assert message.startswith("teacher.safetensors does not fit Sequential")
    assert "1 missing: 1.running_mean" in message
    assert "1 unexpected: head.weight" in message
    assert "1 of another shape: 2.weight [5, 4] instead of [2, 4]" in message


def test_strict_load_strips_no_prefix_and_caps_the_list() -> None:
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(20)))
    state_dict = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"40 missing: .* and 28 more\n  40 unexpected: module\.0\.weight"):
        load_strict(model, state_dict, "w")


def test_strict_load_leaves_a_model_alone_that_shapes_rule_out() -> None:
    model = small_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wrong = {name: torch.zeros_like(tensor) for name, tensor in before.items()} | {"2.weight": torch.ones(5, 4)}
    with pytest.raises(CheckpointError):
        load_strict(model, wrong, "w")
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


class Normalising(nn.Sequential):
    """Keeps the colours that it subtracts out of what it saves, as mmengine's data preprocessor does."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 2))
        self.register_buffer("mean", torch.tensor([103.53, 116.28]), persistent=False)


def test_constants_of_a_model_may_be_in_a_file_with_its_own_values() -> None:
    # mmengine's first versions saved them: they are in RTMDet's published weights.
    model = Normalising()
    given = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    load_strict(model, given | {"mean": torch.tensor([103.53, 116.28])}, "w")
    assert torch.equal(model[0].weight, given["0.weight"])
    for other in (torch.tensor([123.675, 116.28]), torch.zeros(3)):
        with pytest.raises(CheckpointError, match="1 of another value than the configuration's: mean"):
            load_strict(model, given | {"mean": other}, "w")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    dataset = DatasetRecord(
        name="toy", title="Toy", composed=True, classes=["a", "b", "c"], splits={}, credits=[], findings=[]
    )
    target = tmp_path_factory.mktemp("recipes") / "twin.json"
    write_resolved(target, resolve(Path("configs/students/twin_gfl_r18w16_embedded.py"), dataset, {}))
    return load_resolved(target)


def test_a_detector_comes_back_with_the_weights_it_was_saved_with(recipe: Recipe, tmp_path: Path) -> None:
    detector = build_detector(recipe)
    save_weights(tmp_path / "w.safetensors", detector.state_dict(), {})
    loaded = load_detector(recipe, tmp_path / "w.safetensors")
    assert not loaded.training
    assert not any(module.training for module in loaded.modules())
    expected = detector.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


@pytest.mark.parametrize("key", ["dataset_meta", "CLASSES"])
@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("b", "a", "c"), r"label 0 is 'b' there and 'a' in the data set \(3 and 3 classes\)"),
        (("a", "b"), r"label 2 is 'none' there and 'c' in the data set \(2 and 3 classes\)"),
        (("a", "b", "c", "d"), r"label 3 is 'd' there and 'none' in the data set \(4 and 3 classes\)"),
    ],
)
def test_weights_of_another_class_order_are_refused_wherever_they_are_loaded(
    recipe: Recipe, tmp_path: Path, key: str, classes: tuple[str, ...], said: str
) -> None:
    meta = {key: {"classes": classes} if key == "dataset_meta" else list(classes)}
    torch.save({"state_dict": build_detector(recipe).state_dict(), "meta": meta}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=rf"w\.pth: trained for other classes .*{said}"):
        load_detector(recipe, tmp_path / "w.pth")
    save_weights(tmp_path / "w.safetensors", *load_weights(tmp_path / "w.pth"))
    with pytest.raises(CheckpointError, match=rf"w\.safetensors: trained for other classes .*{said}"):
        load_detector(recipe, tmp_path / "w.safetensors")


def test_weights_of_the_same_classes_are_taken(recipe: Recipe, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", build_detector(recipe).state_dict(), classes_entry(recipe.classes))
    assert load_detector(recipe, tmp_path / "w.safetensors").dataset_meta == {"classes": recipe.classes}


@pytest.mark.parametrize(
    "entry", [{}, {"classes": "a, b"}, {"classes": "3"}, {"classes": "[" * 100_000}, {"classes": "1" * 5000}]
)
def test_without_classes_in_the_file_they_are_the_recipes(
    recipe: Recipe, tmp_path: Path, entry: dict[str, str]
) -> None:
    save_weights(tmp_path / "w.safetensors", build_detector(recipe).state_dict(), entry)
    assert load_detector(recipe, tmp_path / "w.safetensors").dataset_meta == {"classes": recipe.classes}


def test_weights_for_other_classes_are_refused_by_name(recipe: Recipe, tmp_path: Path) -> None:
    state_dict = build_detector(recipe).state_dict()
    state_dict["bbox_head.gfl_cls.bias"] = torch.zeros(80)
    save_weights(tmp_path / "coco.safetensors", state_dict, {})
    with pytest.raises(CheckpointError, match=r"coco\.safetensors .*\n  1 of another shape: bbox_head\.gfl_cls\.bias"):
        load_detector(recipe, tmp_path / "coco.safetensors")
