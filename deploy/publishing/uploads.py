"""The files of a model that go to the Hub, each held against the record of the stage that wrote it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.runtime.artefact import PRECISIONS
from deploy.runtime.regular_files import open_regular
from pipeline.deploy_records import ArtefactFile, CardRecord, ExportRecord, PrecisionRecord
from pipeline.errors import PublishError, did_you_mean
from pipeline.layout import CARDS, artefact_file, card_file, report_file

CARD_NAME = "README.md"
"""What the Hub shows of a model."""
_ANEW = "run `dvc repro` to make all of it anew (or `dvc pull`, where it was made elsewhere)"


@dataclass(frozen=True)
class Upload:
    """A file with its name on the Hub; ``content`` is what was checked and what is sent."""

    name: str
    path: Path
    content: bytes
    sha256: str


def uploads_of(model: str, precisions: Sequence[str] | None, root: Path = Path()) -> list[Upload]:
    """The card of a model as README.md, and its artefacts.

    Args:
        model: a student's name.
        precisions: of the artefacts; None: the one that the card recommends and fp32.
        root: the project's.

    Raises:
        PublishError: there is no card of such a model, no such precision, or a file is not the one that its record and
            the card are of.
    """
    card = _card_record(model, root)
    chosen = _chosen(card, precisions, model)
    made = _made(model, root)
    # Places are those of the layout, whatever the record says: what is sent is public.
    page = root / card_file(model)
    uploads = [_checked(CARD_NAME, page, card.card_sha256)]
    for file in chosen:
        path = root / artefact_file(model, file.precision)
        if made.get(file.precision) != file.sha256:
            raise PublishError(f"{page}: it is of another {path} than the one that was made last; {_ANEW}")
        uploads.append(_checked(path.name, path, file.sha256))
    return uploads


def _card_record(model: str, root: Path) -> CardRecord:
    known = sorted(path.stem for path in (root / CARDS).glob("*.json"))
    if not known:
        raise PublishError(f"{root / CARDS}: no model cards; run `dvc repro report`, which writes them")
    if model not in known:
        raise PublishError(
            f"{model!r} has no card in {root / CARDS}; {did_you_mean(model, known)} (cards are of students that "
            "export.models in params.yaml lists)"
        )
    return CardRecord.read(root / report_file("cards", model))


def _chosen(card: CardRecord, precisions: Sequence[str] | None, model: str) -> list[ArtefactFile]:
    known = {file.precision: file for file in card.files if file.precision in PRECISIONS}
    wanted = precisions if precisions is not None else [card.ship or "fp32", "fp32"]
    if unknown := [name for name in wanted if name not in known]:
        raise PublishError(f"--precision: {model} has no artefact in {unknown[0]!r}; {did_you_mean(unknown[0], known)}")
    return [known[name] for name in dict.fromkeys(wanted)]


def _made(model: str, root: Path) -> dict[str, str]:
    """By precision the hash of what the stages ``export`` and ``precision`` wrote last."""
    exported = ExportRecord.read(root / report_file("export", model))
    made = PrecisionRecord.read(root / report_file("precision", model))
    return {"fp32": exported.sha256, **{item.precision: item.sha256 for item in made.artefacts}}


def _checked(name: str, path: Path, sha256: str) -> Upload:
    try:
        with open_regular(path) as stream:
            content = stream.read()
    except OSError as error:
        raise PublishError(f"{path}: cannot be read: {error.strerror or error}; {_ANEW}") from error
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise PublishError(
            f"{path}: changed since it was written: its SHA-256 is {found}, that of its record {sha256}; {_ANEW}"
        )
    return Upload(name, path, content, sha256)
