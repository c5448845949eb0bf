"""Profiles: overrides of params.yaml."""

import pytest
import yaml

from pipeline.profiles import FOLDER, apply_profile, main
from pipeline.settings import parse_params


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    params = {"a": {"x": 1, "y": [1, 2]}, "b": 3}
    assert apply_profile(params, {"a": {"y": [9]}, "c": 4}) == {"a": {"x": 1, "y": [9]}, "b": 3, "c": 4}
    assert params == {"a": {"x": 1, "y": [1, 2]}, "b": 3}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_profile_gives_valid_params(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert parse_params(printed)


def test_an_unknown_profile_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["smok"])
    assert "smoke" in capsys.readouterr().err
