"""The tables and sentences of a model card."""

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from pipeline.report import artefacts, formats, headline
from pipeline.report.beside import milliseconds
from pipeline.report.cards import Card
from pipeline.report.choices import measured_sentence
from pipeline.report.collect import Rung
from pipeline.report.comparison import gain
from pipeline.report.names import precision_title, run_title
from pipeline.report.tables import Row, Table, listing, number, row, text
from pipeline.report.trainings import labelled_by

_ONE_SEED = (
    "The intervals cover the choice of the pictures that were measured on. Each model was trained once: what another "
    "seed would change is not in them."
)
_OWN_TIMES = (
    "The times are of one machine, on which the files took turns. On another one let them take turns again "
    "(deploy.compare)."
)
_OWN_DATA = "It was measured on pictures of the data set above and on no others."
_COMPOSED = (
    "The data set is composed: real parts were put together by a program. Its numbers do not predict accuracy on "
    "photographs."
)


def file_table(card: Card) -> Table:
    """Every file with its whole hash."""
    return listing(
        card.files,
        {
            text("File"): lambda file: Path(file.file).name,
            text("precision"): lambda file: precision_title(file.precision),
            number("bytes"): lambda file: formats.count(file.file_size),
            text("SHA-256"): lambda file: file.sha256,
        },
    )


def rung_table(card: Card) -> Table:
    """Every file under every backend that ran it: AP and latency of the same rung."""
    results = card.results
    columns = (
        text("File"),
        text("runs under"),
        number("AP"),
        number(f"{formats.percent(results.params.evaluate.confidence)} interval"),
        number(f"p50, ms, batch {results.comparison.batch_size}"),
        number("threads"),
    )
    rows = []
    for file in card.files:
        for run in card.model.runs:
            if run.status != "ok" or run.artefact != file.precision:
                continue
            bootstrap = run.accuracy.bootstrap if run.accuracy else None
            rows.append(
                row(
                    Path(file.file).name,
                    run_title(run),
                    formats.points(run.accuracy.numbers.ap if run.accuracy else None),
                    formats.span(bootstrap.interval.low, bootstrap.interval.high) if bootstrap else formats.MISSING,
                    milliseconds(results, Rung(card.model.name, run)),
                    formats.count(run.threads),
                )
            )
    return Table(columns, tuple(rows))


def class_table(card: Card) -> Table:
    """Boxes of each class in the evaluated split, its AP in the file that ships, and what the score gives."""
    shipped = card.ship.beside.rung.run.accuracy if card.ship else None
    classes = (shipped or card.model.evaluation.accuracy).classes
    points = {item.name: item.measured for item in card.model.point.classes}
    rows = []
    for item in classes:
        found = points.get(item.name)
        at_score = (found.precision, found.recall) if found else (None, None)
        rows.append(
            row(item.name, formats.count(item.boxes), formats.points(item.ap), *(map(formats.percent, at_score)))
        )
    columns = (text("Class"), number("boxes"), number("AP"), number("precision"), number("recall"))
    return Table(columns, tuple(rows))


def ship_sentence(card: Card) -> str:
    """The file to use, with its own AP and its own latency."""
    if card.ship is None:
        return "None of the files was measured."
    run, turns, confidence = card.ship.beside.rung.run, card.ship.beside.turns, card.results.params.evaluate
    score = "" if card.score is None else f" with score threshold {card.score:.2f}"
    bootstrap = run.accuracy.bootstrap if run.accuracy else None
    interval = (
        f" ({formats.percent(confidence.confidence)} interval "
        f"{formats.span(bootstrap.interval.low, bootstrap.interval.high)})"
        if bootstrap
        else ""
    )
    return (
        f"Use {Path(card.ship.file).name}{score}: {formats.points(card.ship.ap)} AP{interval} on the "
        f"{card.model.evaluation.accuracy.split} split, {formats.milliseconds(turns.milliseconds)} ms at the median, "
        f"batch {card.results.comparison.batch_size} ({run_title(run)}, {machine(card)})."
    )


def machine(card: Card) -> str:
    """What the times were measured on."""
    device = card.results.device
    return f"{device.cpu}, {device.cores} cores" + (f", {device.gpu}" if device.gpu else "")


def what_it_is(card: Card) -> str:
    """Method, teacher and twin in a sentence or two."""
    teacher, baseline, model = card.results.teacher, card.results.baseline, card.model
    if not card.methods:
        return "A small detector that was trained without a teacher: what distilled ones are compared with."
    sentence = (
        f"A small detector, distilled by {' and '.join(card.methods)} from a teacher "
        f"({_path(teacher.evaluation.recipe)}, {formats.points(teacher.ap)} AP)."
    )
    if model.training and (used := model.training.pseudo_labels):
        sentence += (
            f" It learned from {formats.count(used.labels.images)} pictures without boxes too, "
            f"labelled by {labelled_by(used.labels)}."
        )
    difference = gain(model, baseline)
    if baseline is None or difference is None:
        return f"{sentence} No twin was trained, so what distillation adds is not known."
    twin = f"{baseline.name} is its twin: the same detector on the same budget, without a teacher."
    return f"{sentence} {twin} {headline.gain_sentence(model.name, baseline.name, difference)}"


def operating_sentence(card: Card) -> str:
    """What the recommended score gives on the evaluated split."""
    point = card.model.point
    if point.score is None or point.measured is None:
        return "It found nothing on the split that chooses the score, so none is recommended."
    found = point.measured
    return (
        f"From a score of {point.score:.2f} on, which has the best F1 on the {point.chosen_on} split, "
        f"{formats.percent(found.precision)} of its boxes on the {point.measured_on} split are right (IoU 0.5, right "
        f"class) and {formats.percent(found.recall)} of the objects are found."
    )


def limits(card: Card) -> list[str]:
    """What the numbers do not say."""
    results = card.results
    found = [_ONE_SEED, _OWN_TIMES, _OWN_DATA]
    if also_chose := measured_sentence(results):
        found.insert(0, also_chose)
    if results.dataset.composed:
        found.append(_COMPOSED)
    return [*found, *([note] if (note := artefacts.part_note(results)) else [])]


def licences(card: Card) -> list[str]:
    """Of the model, the data and the weights that the training started from."""
    stated, dataset, origin = card.results.params.report.card, card.results.dataset, card.model.origin
    credited = "as the credits above state it" if dataset.credits else _unstated("report.card.data_licence")
    found = [
        f"This model: {stated.licence or _unstated('report.card.licence')}.",
        f"Data: {stated.data_licence or credited}.",
    ]
    training = card.model.training
    if training and training.init:
        found.append(
            f"Weights that the training started from ({_sources(origin.init_sources)}, SHA-256 "
            f"{formats.short_hash(training.init.sha256)}): {origin.init_licence or _unstated('licence under init')}."
        )
    if origin.backbone_sources:
        licence = origin.backbone_licence or "not stated (licence under backbone_weights in the recipe)"
        found.append(f"Weights that the backbone started from ({_sources(origin.backbone_sources)}): {licence}.")
    if len(found) == 2:
        found.append("The training started from no one's weights.")
    return found


def _unstated(key: str) -> str:
    return f"not stated ({key} in params.yaml)"


def _sources(sources: list[str]) -> str:
    """Addresses without what may be secret in them; of a file on this machine not even the name."""
    return ", ".join(dict.fromkeys(map(_source, sources)))


def _source(source: str) -> str:
    if source.startswith("pypi:"):
        return source
    if "://" not in source:
        return "a local file"
    parts = urlsplit(source)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def made_table(card: Card) -> Table:
    """How the model came about: recipe, budget, and the hashes that tell this model from another one."""
    model, training = card.model, card.model.training
    rows = [
        row("Recipe", _path(model.evaluation.recipe)),
        row("Recipe with its settings, resolved", f"SHA-256 {card.spec.recipe_sha256}"),
        row("Weights", f"SHA-256 {model.evaluation.weights_sha256}"),
        row("Parameters", f"{formats.millions(model.evaluation.complexity.parameters)} M"),
        row("FLOPs of an image", f"{formats.giga(model.evaluation.complexity.flops)} G"),
    ]
    if training:
        rows += [
            row("Training", f"{formats.count(training.iterations)} iterations of {training.batch_size} images"),
            row("Computed in", f"{training.precision} on {training.device}"),
            row("Kept", f"iteration {formats.count(training.best_iteration)}, chosen on the val split"),
        ]
    rows += [_split_row(card, name) for name in card.results.dataset.splits]
    return Table((text("What"), text("Which")), (*rows, row("Code", card.code or formats.MISSING)))


def _split_row(card: Card, name: str) -> Row:
    return row(f"Annotations of {name}", f"SHA-256 {card.results.dataset.splits[name].sha256}")


def _path(recipe: str) -> str:
    """A path of the project as it stands; of one elsewhere, which is its owner's affair, the file's name."""
    path = PurePosixPath(recipe)
    return path.name if path.is_absolute() else recipe
