"""The settings of a method: published defaults, overrides of a recipe, and errors that name the key and the cure."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import RecipeError

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number that is not negative")]
Switch = Annotated[bool, Field(description="True or False")]


class MethodSettings(BaseModel):
    """Base of the settings of every method; the description of a field says what its value may be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Settings = TypeVar("Settings", bound=MethodSettings)


def read_settings(
    method: str, settings: type[Settings], published: Mapping[str, Any], given: Mapping[str, Any]
) -> Settings:
    """The settings of a method in a recipe.

    Args:
        method: its name there.
        settings: class to build; its defaults count where neither of the following says otherwise.
        published: what was published for the detector's family.
        given: what the recipe says; a value of None counts as not given.

    Raises:
        RecipeError: lists every key that is unknown or whose value is wrong, with what to write.
    """
    values = {**published, **{key: value for key, value in given.items() if value is not None}}
    try:
        return settings.model_validate(values)
    except ValidationError as error:
        keys = dict.fromkeys(str(entry["loc"][0]) for entry in error.errors())
        findings = [f"distillation.methods: {method}: {_finding(settings, key, values.get(key))}" for key in keys]
        raise RecipeError("\n".join(findings)) from error


def _finding(settings: type[MethodSettings], key: str, value: Any) -> str:
    if key not in settings.model_fields:
        return f"{key} = {value!r} is no argument of it; choose of {sorted(settings.model_fields)}, or leave it out"
    field = settings.model_fields[key]
    return f"{key} is {value!r}; give {field.description or f'one of {list(get_args(field.annotation))}'}"
