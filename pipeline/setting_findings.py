"""What pydantic finds wrong with settings or a recipe, in lines that a user can act on."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from deploy.runtime.errors import shown
from pipeline.errors import did_you_mean

_LISTED = 50


def listed_findings(error: ValidationError, root: type[BaseModel]) -> str:
    """A line for each finding: the key, what is wrong with it, and its value; of many the first ones.

    Args:
        error: what pydantic raised.
        root: the model that was validated, whose keys are suggested in the place of unknown ones.
    """
    findings = [
        f"  {_dotted(item['loc'])}: {item['msg']}{_nearest_key(item, root)} (got {shown(item['input'])})"
        for item in error.errors()[:_LISTED]
    ]
    more = error.error_count() - _LISTED
    return "\n".join([*findings, f"  and {more} more"] if more > 0 else findings)


def _nearest_key(error: Mapping[str, Any], root: type[BaseModel]) -> str:
    """What an unknown key may have been meant for, by the keys of the section that it stands in."""
    if error["type"] != "extra_forbidden":
        return ""
    section: Any = root
    for part in error["loc"][:-1]:
        field = section.model_fields.get(part) if _is_model(section) else None
        section = field.annotation if field else None
    return f"; {did_you_mean(error['loc'][-1], section.model_fields)}" if _is_model(section) else ""


def _is_model(section: object) -> bool:
    return isinstance(section, type) and issubclass(section, BaseModel)


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(whole file)"
