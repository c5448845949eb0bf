from pathlib import Path

import pytest
import yaml

from deploy.runtime.backends.cuda_device import CudaDevice
from deploy.runtime.errors import BackendUnavailable
from pipeline.deploy_records import EngineRecord
from stages.engine import main
from tests.deploy.tiny import write_artefact

RECORD = Path("reports/engine/twin.json")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = {
        "data": {"name": "digits"},
        "teacher": {"config": "t.py"},
        "students": {"twin": {"recipe": "s.py"}},
        "export": {"models": ["twin"]},
        "engine": {"profiles": [{"best": 2, "most": 8}]},
        "benchmark": {"backends": ["onnxruntime"]},
    }
    Path("params.yaml").write_text(yaml.safe_dump(content))
    Path("artefacts").mkdir()

    def no_device() -> CudaDevice:
        raise BackendUnavailable("no CUDA device: none")

    monkeypatch.setattr("deploy.engines.engine.find_device", no_device)


def test_without_a_gpu_the_run_goes_on() -> None:
    graphs = [f"artefacts/twin{precision}.onnx" for precision in ("", ".fp16", ".int8_symmetric")]
    for graph in graphs:
        write_artefact(Path(graph))
    main(["--model", "twin"])
    record = EngineRecord.read(RECORD)
    assert (record.model, record.profiles) == ("twin", [(1, 2, 8)])
    assert [build.graph for build in record.engines] == graphs
    assert {(build.status, build.reason) for build in record.engines} == {("not built", "no CUDA device: none")}
    assert list(Path("artefacts/engines/twin").iterdir()) == []


def test_missing_artefact_is_named() -> None:
    with pytest.raises(SystemExit, match=r"artefacts/twin\.onnx: cannot be read"):
        main(["--model", "twin"])
    assert not RECORD.exists()
