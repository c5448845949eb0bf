"""A model card as a file: the README.md of a model on the Hugging Face Hub."""

import hashlib
from pathlib import Path

from deploy.runtime.artefact import ArtefactSpec
from pipeline.deploy_records import CardRecord
from pipeline.layout import card_file, report_file
from pipeline.report import card_text, methodology
from pipeline.report.card_metadata import front_matter
from pipeline.report.cards import Card, cards
from pipeline.report.collect import Results
from pipeline.report.environment import page_environment
from pipeline.storage import write_atomic


def write_cards(results: Results, folder: Path, code: str | None) -> None:
    """Write ``<model>.md`` and its record ``<model>.json`` for every student that was exported.

    Raises:
        ArtefactError: the record of an export holds no specification of an artefact.
    """
    for card in cards(results, code):
        content = render_card(card).encode()
        name = card.model.name
        write_atomic(folder / card_file(name).name, content)
        record = CardRecord(
            model=name,
            card_sha256=hashlib.sha256(content).hexdigest(),
            ship=card.shipped.precision if card.ship else None,
            files=list(card.files),
        )
        record.write(folder / report_file("cards", name).name)


def render_card(card: Card) -> str:
    """The card: metadata in YAML, then Markdown; no text from the records is read as either."""
    page = (
        page_environment()
        .get_template("card.md.j2")
        .render(
            card=card,
            text=card_text,
            split_table=methodology.split_table(card.results),
            snippet=snippet(card.shipped.file, card.spec),
        )
    )
    return front_matter(card) + page


def snippet(artefact: str, spec: ArtefactSpec) -> str:
    """Python that runs an artefact with numpy and ONNX Runtime alone, placing pictures as ``deploy`` does."""
    return page_environment().get_template("card_snippet.py.j2").render(file=Path(artefact).name, spec=spec)
