"""The section ``report`` of ``params.yaml``: what the report and the model cards show."""

from typing import Annotated

from pydantic import Field, StringConstraints

from pipeline.setting_types import Fraction, Line, Name, PositiveInt, Settings


class CardSettings(Settings):
    """What model cards state that no record knows; null: not stated.

    ``licence`` of the models, as the Hub calls it (``apache-2.0``), and ``data_licence`` in words; ``dataset`` is the
    data set's name on the Hub.
    """

    licence: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")] | None = None
    data_licence: Line | None = None
    dataset: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None
    ) = None


class ReportSettings(Settings):
    """What the report shows. ``baseline`` is the twin that every other student is compared with.

    What ships is the fastest artefact that loses at most ``max_ap_loss`` AP points on val to the best of the students'.
    """

    baseline: Name = "twin"
    images: PositiveInt = 6
    score_threshold: Fraction = 0.3
    max_ap_loss: Annotated[float, Field(ge=0, le=100)] = 1.0
    card: CardSettings = CardSettings()
