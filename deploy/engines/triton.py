"""A model repository for the Triton inference server: ``python -m deploy.triton MODEL REPOSITORY``.

Layout and fields: the server's documentation, "Model Repository" and "Model Configuration". A repository holds one
folder a model: ``config.pbtxt``, the file of the labels, and ``1/`` with the model file.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from deploy.runtime.arguments import Parser, positive
from deploy.runtime.artefact import ArtefactSpec, read_spec
from deploy.runtime.backends.bindings import ANY, Binding, check_bindings, expected_bindings
from deploy.runtime.engine_file import SUFFIX, read_engine
from deploy.runtime.errors import ArtefactError
from deploy.runtime.printable import in_one_line
from pipeline.cli import stage_main
from pipeline.storage import fresh_directory

LABELS_FILE = "labels.txt"
# A folder of the repository, a word of its configuration and a part of the server's addresses.
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "int64": "TYPE_INT64"}


@dataclass(frozen=True)
class Serving:
    """How the server runs a model.

    Requests wait up to ``delay_us`` microseconds to be joined to batches of at most ``max_batch`` images; ``instances``
    copies of the model run at once on a GPU, or on the CPU if not ``gpu``.
    """

    max_batch: int = 32
    delay_us: int = 500
    instances: int = 1
    gpu: bool = True


def write_repository(model: Path, repository: Path, serving: Serving) -> Path:
    """Write ``repository/<name>/`` for an artefact; an earlier folder of that name stays until the new one is whole.

    Args:
        model: an ONNX file or an engine of this project; the name is the file's up to its suffix.
        repository: the folder that the server is given.
        serving: batching and instances. An engine's own profiles limit the batch.

    Returns:
        The model's folder.

    Raises:
        ArtefactError: the file is none of this project, its inputs and outputs are not what it says, it cannot run on
            the CPU, or it takes no batch of ``serving.max_batch``.
    """
    name = model.name.removesuffix(model.suffix)
    if not _MODEL_NAME.fullmatch(name):
        raise ArtefactError(
            f"{name!r} cannot be the name of a model that Triton serves: letters, digits, '_', '-' and '.' can, after "
            "a letter or a digit; rename the file"
        )
    engine = model.suffix == SUFFIX
    spec, content, bindings = _read_engine(model, serving) if engine else _read_graph(model)
    with fresh_directory(repository / name) as folder:
        (folder / "1").mkdir()
        (folder / "1" / ("model.plan" if engine else "model.onnx")).write_bytes(content)
        (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in spec.classes), encoding="utf-8")
        (folder / "config.pbtxt").write_text(config(name, engine, bindings, serving), encoding="utf-8")
    return repository / name


def config(name: str, engine: bool, bindings: Sequence[Binding], serving: Serving) -> str:
    """The text of ``config.pbtxt``; the batch is no part of the dimensions, the server puts it in front."""
    inputs = [_tensor(binding) for binding in bindings if binding.is_input]
    outputs = [_tensor(binding) for binding in bindings if not binding.is_input]
    return f"""\
name: "{name}"
backend: "{"tensorrt" if engine else "onnxruntime"}"
max_batch_size: {serving.max_batch}
input [
{_joined(inputs)}
]
output [
{_joined(outputs)}
]
dynamic_batching {{
  max_queue_delay_microseconds: {serving.delay_us}
}}
instance_group [
  {{
    count: {serving.instances}
    kind: {"KIND_GPU" if serving.gpu else "KIND_CPU"}
  }}
]
"""


def graph_bindings(graph: Path) -> list[Binding]:
    """Inputs and outputs of an ONNX file as it declares them; the first dimension must be dynamic."""
    content = onnx.load(graph, load_external_data=False).graph
    inputs = [_binding(value, is_input=True) for value in content.input]
    return inputs + [_binding(value, is_input=False) for value in content.output]


def _binding(value: onnx.ValueInfoProto, is_input: bool) -> Binding:
    tensor = value.type.tensor_type
    first, *rest = (ANY if dimension.dim_param else dimension.dim_value for dimension in tensor.shape.dim)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return Binding(value.name, dtype, (first, *rest), is_input)


def _read_graph(model: Path) -> tuple[ArtefactSpec, bytes, tuple[Binding, ...]]:
    spec = read_spec(model)
    return spec, model.read_bytes(), check_bindings(graph_bindings(model), spec, str(model))


def _read_engine(model: Path, serving: Serving) -> tuple[ArtefactSpec, bytes, tuple[Binding, ...]]:
    description, plan = read_engine(model)
    if not serving.gpu:
        raise ArtefactError(f"{model}: an engine runs on a GPU alone; serve the ONNX file on the CPU")
    most = max(profile.most for profile in description.profiles)
    if serving.max_batch > most:
        raise ArtefactError(
            f"{model}: the engine takes {most} images at most, --max-batch is {serving.max_batch}; lower it, or change "
            "engine.profiles in params.yaml and build the engine again"
        )
    return description.spec, plan, expected_bindings(description.spec)


def _tensor(binding: Binding) -> str:
    dims = list(binding.shape[1:])
    lines = [f'name: "{binding.name}"', f"data_type: {_TYPES[binding.dtype.name]}", f"dims: {dims or [1]}"]
    if not dims:
        # The server knows no tensor without dimensions: one value an image is a vector of one for its clients.
        lines.append("reshape { shape: [] }")
    if binding.name == "labels":
        lines.append(f'label_filename: "{LABELS_FILE}"')
    return "\n".join(["  {", *(f"    {line}" for line in lines), "  }"])


def _joined(tensors: Sequence[str]) -> str:
    return ",\n".join(tensors)


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Write the repository and say where it is."""
    parser = Parser(prog="python -m deploy.triton", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="an exported .onnx file, or an .engine built for the server's GPU")
    parser.add_argument("repository", type=Path, help="the server's model repository")
    parser.add_argument("--max-batch", type=positive, default=Serving.max_batch, help="most images in one batch")
    parser.add_argument("--delay-us", type=positive, default=Serving.delay_us, help="longest wait for a batch, in us")
    parser.add_argument("--instances", type=positive, default=Serving.instances, help="copies that run at once")
    parser.add_argument("--cpu", action="store_true", help="run on the CPU")
    arguments = parser.parse_args(argv)
    serving = Serving(arguments.max_batch, arguments.delay_us, arguments.instances, gpu=not arguments.cpu)
    folder = write_repository(arguments.model, arguments.repository, serving)
    sys.stdout.write(f"{in_one_line(os.fspath(folder))}: config.pbtxt, {LABELS_FILE}, 1/\n")


if __name__ == "__main__":
    main()
