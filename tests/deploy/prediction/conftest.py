"""What the tests of predictions share."""

from pathlib import Path

import pytest


@pytest.fixture
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files until they are whole."""
    return tmp_path_factory.mktemp("parts")
