from pathlib import Path

import pytest

from pipeline.report.collect import Results, collect
from tests.pipeline.report.example_run import example_params, write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a whole run with a teacher, a twin and one distilled student; read only."""
    root = tmp_path_factory.mktemp("run")
    write_run(root, example_params())
    return root


@pytest.fixture(scope="session")
def results(run: Path) -> Results:
    return collect(example_params(), run)
