"""ONNX files whose tensors are not what they say, refused before a backend takes the memory or another file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

import deploy
from deploy.runtime.errors import ArtefactError
from deploy.runtime.onnx_file import check_tensors
from tests.deploy.tiny import save_sealed


def tensor(**fields: object) -> TensorProto:
    made = TensorProto(name="extra", data_type=TensorProto.FLOAT)
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(made, name).extend(value)
        else:
            setattr(made, name, value)
    return made


def outside(place: str) -> TensorProto:
    made = tensor(dims=[4], data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value=place)
    return made


def sparse() -> SparseTensorProto:
    values = numpy_helper.from_array(np.ones(1, np.float32), "extra")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64)), [10**10])


BAD: dict[str, tuple[Callable[[], TensorProto], str]] = {
    "no data": (lambda: tensor(dims=[10**9]), "a tensor of 1000000000 values, of which the file holds 0"),
    "too little data": (lambda: tensor(dims=[10**5, 10**5], raw_data=bytes(16)), "100000 x 100000 .* holds 4"),
    "a short list": (lambda: tensor(dims=[10**6], float_data=[1.0]), "holds 1"),
    "a short list of numbers": (lambda: tensor(dims=[10**6], int64_data=[1, 2, 3], data_type=7), "holds 3"),
    "half bytes": (lambda: tensor(dims=[33], raw_data=bytes(16), data_type=TensorProto.INT4), "holds 32"),
    "an endless product": (lambda: tensor(dims=[2**62] * 200, raw_data=b"x"), "holds 0"),
    "a negative side": (lambda: tensor(dims=[-1], raw_data=bytes(16)), r"negative side: \[-1\]"),
    "a file above": (lambda: outside("../../secret"), "in another file"),
    "an absolute file": (lambda: outside("/etc/passwd"), "in another file"),
    "a file beside it": (lambda: outside("weights.bin"), "in another file"),
    "a place without a file": (lambda: tensor(dims=[4], data_location=TensorProto.EXTERNAL), "in another file"),
}


def as_initializer(model: ModelProto, made: TensorProto) -> None:
    model.graph.initializer.append(made)


def as_constant(model: ModelProto, made: TensorProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["extra"], value=made))


def as_list(model: ModelProto, made: TensorProto) -> None:
    attribute = AttributeProto(name="several", type=AttributeProto.TENSORS, tensors=[made])
    model.graph.node.append(helper.make_node("Constant", [], ["extra"]))
    model.graph.node[-1].attribute.append(attribute)


def in_a_branch(model: ModelProto, made: TensorProto) -> None:
    branch = GraphProto(name="branch", initializer=[made])
    model.graph.node.append(helper.make_node("If", ["num_dets"], ["other"], then_branch=branch, else_branch=branch))


def in_a_function(model: ModelProto, made: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["y"], value=made)
    model.functions.append(helper.make_function("own", "f", [], ["y"], [node], [helper.make_opsetid("", 18)]))


def in_training(model: ModelProto, made: TensorProto) -> None:
    model.training_info.add().algorithm.initializer.append(made)


PLACES = [as_initializer, as_constant, as_list, in_a_branch, in_a_function, in_training]


def changed(artefact: Path, path: Path, change: Callable[[ModelProto], object]) -> Path:
    model = onnx.load(artefact)
    change(model)
    save_sealed(model, path)
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", BAD)
def test_tensors_that_are_not_what_they_say_are_refused(
    artefact: Path, tmp_path: Path, kind: str, place: Callable[[ModelProto, TensorProto], None]
) -> None:
    make, said = BAD[kind]
    path = changed(artefact, tmp_path / "m.onnx", lambda model: place(model, make()))
    with pytest.raises(ArtefactError, match=rf"m\.onnx: not an artefact that can be opened: .*{said}"):
        deploy.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.graph.sparse_initializer.append(sparse()),
        lambda model: model.graph.node[0].attribute.append(
            AttributeProto(name="s", type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse())
        ),
    ],
)
def test_sparse_tensors_are_refused(artefact: Path, tmp_path: Path, change: Callable[[ModelProto], object]) -> None:
    with pytest.raises(ArtefactError, match="a sparse tensor"):
        deploy.load(changed(artefact, tmp_path / "m.onnx", change))


def test_a_tensor_in_two_pieces_is_refused(artefact: Path, tmp_path: Path) -> None:
    piece = AttributeProto(name="value", type=AttributeProto.TENSOR, t=tensor(dims=[10**5], raw_data=bytes(4 * 10**5)))
    twice = 2 * piece.SerializeToString()
    assert list(AttributeProto.FromString(twice).t.dims) == [10**5, 10**5]
    model = wrapped(7, wrapped(1, wrapped(5, twice)))
    (tmp_path / "m.onnx").write_bytes(artefact.read_bytes() + model)
    with pytest.raises(ArtefactError, match="holds its tensor twice"):
        check_tensors(tmp_path / "m.onnx")


def wrapped(field: int, content: bytes) -> bytes:
    """A field of protocol buffers that holds ``content``."""
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([field << 3 | 2]) + length + bytes([size]) + content


def test_graphs_without_end_inside_each_other_are_refused(artefact: Path, tmp_path: Path) -> None:
    graph = GraphProto(name="innermost")
    for _ in range(30):
        graph = GraphProto(name="outer", node=[helper.make_node("Loop", [], [], body=graph)])
    path = changed(artefact, tmp_path / "m.onnx", lambda model: model.graph.node.extend(graph.node))
    with pytest.raises(ArtefactError, match="more than 20 graphs inside each other"):
        check_tensors(path)


def test_more_than_protocol_buffers_can_be_is_refused(artefact: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(artefact.read_bytes())
    with path.open("r+b") as stream:
        stream.truncate(1 << 31)
    with pytest.raises(ArtefactError, match=r"m\.onnx: not an artefact that can be opened: 2,147,483,648 bytes"):
        check_tensors(path)


DTYPES = [np.float32, np.float16, np.float64, np.int64, np.int32, np.int8, np.uint8, np.uint16, np.uint64, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (2, 0, 4)])
@pytest.mark.parametrize("raw", [False, True])
def test_whole_tensors_of_every_type_are_taken(
    artefact: Path, tmp_path: Path, dtype: type, shape: tuple[int, ...], raw: bool
) -> None:
    values = np.ones(shape, dtype)
    if raw:
        made = numpy_helper.from_array(values, "extra")
    else:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        made = helper.make_tensor("extra", kind, shape, values.reshape(-1).tolist())
    check_tensors(changed(artefact, tmp_path / "m.onnx", lambda model: as_initializer(model, made)))


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT8E4M3FN, TensorProto.BFLOAT16])
@pytest.mark.parametrize("raw", [False, True])
def test_small_types_are_taken_packed_and_listed(artefact: Path, tmp_path: Path, kind: int, raw: bool) -> None:
    made = helper.make_tensor("extra", kind, [7], [1.0] * 7)
    if raw:
        made = numpy_helper.from_array(numpy_helper.to_array(made), "extra")
    check_tensors(changed(artefact, tmp_path / "m.onnx", lambda model: as_initializer(model, made)))
