"""Where a recipe comes from, as JSON."""

from pipeline.records import Record


class RecipeOrigin(Record):
    """What of a recipe decides no weight.

    Its file, the AP on COCO that was published for it, by role, and where its backbone's weights and ``init`` may be
    fetched from, under which licence: which weights these are, their hash in the resolved recipe says.
    """

    path: str
    published: dict[str, float | None]
    backbone_sources: list[str] = []
    backbone_licence: str | None = None
    init_sources: list[str] = []
    init_licence: str | None = None
