"""The code that calls TensorRT, type-checked against the signatures of its real bindings."""

import ast
import os
import re
from pathlib import Path

import pytest

pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed; run `make trt-check`")
pytestmark = pytest.mark.trt

CALLERS = ["deploy/runtime/backends/tensorrt.py", "deploy/engines/builder.py"]
# The package itself: the bindings' names, and the one function that it writes in Python.
PACKAGE = """
from tensorrt_rtx_bindings.tensorrt_rtx import *
def nptype(trt_type: DataType) -> type: ...
"""
MISUSE = """
import tensorrt_rtx
def run(context: tensorrt_rtx.IExecutionContext) -> str:
    context.enqueue_v2([1], 2)
    return context.execute_async_v3("stream")
"""


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mypy.stubgen import main

    folder = tmp_path_factory.mktemp("stubs")
    main(["--inspect-mode", "--quiet", "-m", "tensorrt_rtx_bindings.tensorrt_rtx", "-o", str(folder)])
    stub = folder / "tensorrt_rtx_bindings/tensorrt_rtx.pyi"
    stub.write_text("\n".join(map(valid, stub.read_text().splitlines())))
    ast.parse(stub.read_text())
    (folder / "tensorrt_rtx").mkdir()
    (folder / "tensorrt_rtx/__init__.pyi").write_text(PACKAGE)
    return folder


def valid(line: str) -> str:
    """The line of a stub; a signature that is no Python takes anything (a default before a parameter without one)."""
    if line.startswith("bool: "):
        return ""  # TensorRT's type of that name, which would hide Python's
    if not line.strip().startswith("def "):
        return line
    try:
        ast.parse(line.strip())
    except SyntaxError:
        return re.sub(r"\(.*", "(self, *args, **kwargs): ...", line)
    return line


def check(stubs: Path, *files: str) -> list[str]:
    """What mypy finds in the files, their imports left out."""
    from mypy import api

    before = os.environ.get("MYPYPATH")
    os.environ["MYPYPATH"] = str(stubs)
    try:
        report, errors, _ = api.run(["--cache-dir", str(stubs / "cache"), *files])
    finally:
        os.environ.pop("MYPYPATH") if before is None else os.environ.update(MYPYPATH=before)
    assert not errors
    assert f"checked {len(files)} source file" in report or "Success" in report
    return [line for line in report.splitlines() if line.startswith(files)]


def test_the_calls_fit_the_bindings(stubs: Path) -> None:
    assert check(stubs, *CALLERS) == []


def test_calls_that_do_not_fit_are_found(stubs: Path, tmp_path: Path) -> None:
    (tmp_path / "misuse.py").write_text(MISUSE)
    report = "\n".join(check(stubs, str(tmp_path / "misuse.py")))
    assert '"IExecutionContext" has no attribute "enqueue_v2"' in report
    assert 'Argument 1 to "execute_async_v3"' in report
    assert 'Incompatible return value type (got "bool", expected "str")' in report
